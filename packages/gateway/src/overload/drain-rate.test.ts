import { expect, test } from "vitest";
import { DrainRate } from "./drain-rate.js";

/** So many end one after the other, evenly, each having waited and run so long. */
function endings(rate: DrainRate, count: number, everyMs: number, waitedMs: number, ranMs: number, fromMs = 0): number {
	for (let n = 1; n <= count; n++) rate.ended({ waitedMs, ranMs }, fromMs + n * everyMs);
	return fromMs + count * everyMs;
}

test("nothing is known of a function that nobody waits for: it may be able to do more", () => {
	const rate = new DrainRate();
	const nowMs = endings(rate, 200, 10, 2, 8);
	expect(rate.expectedWaitMs(500, nowMs)).toBeUndefined();
});

test("where a queue stands, one more waits for what is ahead of it, less what is being served", () => {
	const rate = new DrainRate();
	// 100/s, each 20 ms: two at a time.
	const nowMs = endings(rate, 100, 10, 400, 20);
	expect(rate.expectedWaitMs(302, nowMs)).toBeCloseTo(3000, 0);
	expect(rate.expectedWaitMs(1, nowMs)).toBe(0);
});

test("a burst of long sleeps that all run at once is no queue", () => {
	const rate = new DrainRate();
	// They waited for a start each, the first hardly.
	rate.ended({ waitedMs: 5, ranMs: 1000 }, 1000);
	const nowMs = endings(rate, 99, 6, 300, 1000, 1000);
	expect(rate.expectedWaitMs(99, nowMs)).toBeUndefined();
});

test("one that waited little shows that the queue is gone, and an old figure isn't believed", () => {
	const rate = new DrainRate();
	let nowMs = endings(rate, 100, 10, 400, 20);
	expect(rate.expectedWaitMs(300, nowMs + 10_001)).toBeUndefined();
	nowMs = endings(rate, 200, 10, 1, 20, nowMs);
	expect(rate.expectedWaitMs(300, nowMs)).toBeUndefined();
});

test("few endings aren't a rate", () => {
	const rate = new DrainRate();
	expect(rate.expectedWaitMs(300, endings(rate, 6, 1000, 900, 900))).toBeUndefined();
});
