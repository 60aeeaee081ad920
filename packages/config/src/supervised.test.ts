import { PassThrough } from "node:stream";
import { expect, test } from "vitest";
import { exitWithParent } from "./supervised.js";

test("a supervised process stops, once, when its supervisor's pipe ends", async () => {
	const pipe = new PassThrough();
	let stops = 0;
	const stopped = new Promise<void>((resolve) => {
		exitWithParent(
			() => {
				stops++;
				resolve();
			},
			60_000,
			{ BERTH_SUPERVISED: "1" },
			pipe,
		);
	});
	const closed = new Promise((resolve) => pipe.once("close", resolve));
	pipe.end();
	await Promise.all([stopped, closed]);
	expect(stops).toBe(1);
});

test("a process started by hand doesn't mind its stdin", async () => {
	const pipe = new PassThrough();
	exitWithParent(() => expect.unreachable(), 60_000, {}, pipe);
	pipe.resume().end();
	await new Promise((resolve) => pipe.once("close", resolve));
});
