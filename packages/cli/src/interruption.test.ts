import { expect, test } from "vitest";
import { hearStops, Interruption } from "./interruption.js";

test("a terminal's SIGINT and a parent's SIGTERM are one request; the same again is another", () => {
	const heard: unknown[] = [];
	{
		using _ = hearStops((times, signal) => heard.push([times, signal]));
		for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGTERM", "SIGINT"] as const) process.emit(signal, signal);
	}
	expect(heard).toEqual([
		[1, "SIGINT"],
		[2, "SIGTERM"],
	]);
});

test("a terminal's end is no request to stop where it isn't named as one", () => {
	const heard: unknown[] = [];
	using _ = hearStops((_times, signal) => heard.push(signal), ["SIGINT", "SIGTERM"]);
	expect(process.listenerCount("SIGHUP")).toBe(0);
	process.emit("SIGTERM", "SIGTERM");
	expect(heard).toEqual(["SIGTERM"]);
});

test("work is told once, with what to say and the exit code for it", () => {
	const listeners = process.listenerCount("SIGTERM");
	let told = 0;
	{
		using interruption = new Interruption("it was cleaned up", () => told++);
		expect(interruption.signal.aborted).toBe(false);
		process.emit("SIGTERM", "SIGTERM");
		expect(interruption.signal.reason).toMatchObject({ message: "it was cleaned up", exitCode: 130 });
	}
	expect([told, process.listenerCount("SIGTERM")]).toEqual([1, listeners]);
});
