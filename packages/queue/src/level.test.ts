import { afterEach, expect, test, vi } from "vitest";
import { Level } from "./level.js";

afterEach(() => void vi.restoreAllMocks());

/** A level whose count goes down as it is told, a second and a bit at a time. */
async function drained(...gone: readonly number[]): Promise<Level> {
	let [count, nowMs] = [1000, 5000];
	vi.spyOn(performance, "now").mockImplementation(() => nowMs);
	const level = new Level(async () => count);
	await level.read();
	for (const one of gone) {
		nowMs += 1250;
		count -= one;
		await level.read();
	}
	return level;
}

test("who is refused comes again when a hundredth of the limit will be gone, by what goes", async () => {
	// Four a second, and ten are a hundredth.
	expect((await drained(5, 5, 5)).retryAfterMs(1000)).toBe(2500);
});

test("a second in which nothing went, among others in which something did, isn't taken for a standstill", async () => {
	const afterMs = (await drained(5, 5, 5, 0)).retryAfterMs(1000);
	expect(afterMs).toBeGreaterThan(2500);
	expect(afterMs).toBeLessThan(3500);
});

test("it is a second at least, and a minute at most: also where nothing goes, or nothing is known", async () => {
	expect((await drained(900)).retryAfterMs(1000)).toBe(1000);
	expect((await drained(0, 0)).retryAfterMs(1000)).toBe(60_000);
	expect((await drained()).retryAfterMs(1000)).toBe(60_000);
});
