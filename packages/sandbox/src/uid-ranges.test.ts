import { expect, test } from "vitest";
import { UidRanges } from "./uid-ranges.js";

const BASE = 0x7000_0000;
const SIZE = 65_536;

test("ranges don't overlap, lie above their base and within 32 bits; the 4,097th isn't there", () => {
	const ranges = new UidRanges(BASE);
	const taken = Array.from({ length: 4096 }, () => ranges.take()).sort((a, b) => a - b);
	expect(taken[0]).toBe(BASE);
	for (const [index, start] of taken.entries()) expect(start).toBe(BASE + index * SIZE);
	expect((taken.at(-1) as number) + SIZE).toBeLessThanOrEqual(2 ** 32);
	expect(() => ranges.take()).toThrow("all 4096 id ranges are in use");
});

test("a range that was given back is used again last: what was left of its ids is long gone by then", () => {
	const ranges = new UidRanges(BASE);
	const first = ranges.take();
	ranges.give(first);
	const next = Array.from({ length: 4095 }, () => ranges.take());
	expect(next).not.toContain(first);
	expect(ranges.take()).toBe(first);
});
