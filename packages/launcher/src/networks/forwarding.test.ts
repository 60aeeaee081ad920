import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { Forwarding } from "./forwarding.js";

function host(before: "0" | "1") {
	const directory = mkdtempSync(join(tmpdir(), "berth-forwarding-"));
	onTestFinished(() => rmSync(directory, { recursive: true }));
	const places = { switch: join(directory, "switch"), record: join(directory, "record") };
	writeFileSync(places.switch, before);
	const stack = () => {
		const forwarding = new Forwarding(places);
		forwarding.need();
		forwarding.turnOn();
		return forwarding;
	};
	return { places, stack, forwards: () => readFileSync(places.switch, "utf8"), recorded: () => existsSync(places.record) };
}

test("stays on while another stack of this machine needs it, and is off again after the last", () => {
	const { stack, forwards, recorded } = host("0");
	const [first, second] = [stack(), stack()];
	expect([forwards(), second.isForUsAlone]).toEqual(["1", true]);
	first.restore();
	expect(forwards()).toBe("1");
	second.restore();
	expect([forwards(), recorded()]).toEqual(["0", false]);
});

test("a stack that was killed needs nothing any more", async () => {
	const { places, stack, forwards } = host("0");
	const ours = stack();
	// No shell in between: who is killed is who holds it.
	const other = spawn("flock", ["--shared", "--no-fork", `${places.record}.lock`, "sh", "-c", "echo held; exec sleep infinity"]);
	await once(other.stdout, "data");
	other.kill("SIGKILL");
	await once(other, "exit");
	ours.restore();
	expect(forwards()).toBe("0");
});

test("stays on where it was before", () => {
	const { stack, forwards, recorded } = host("1");
	const ours = stack();
	expect(ours.isForUsAlone).toBe(false);
	ours.restore();
	expect([forwards(), recorded()]).toEqual(["1", false]);
});
