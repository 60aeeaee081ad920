import { expect, test } from "vitest";
import { CpuBucket } from "./cpu-bucket.js";

test("a sandbox that uses less than a twentieth of a core is never heavy, for however long", () => {
	const bucket = new CpuBucket(0);
	for (let ms = 50; ms <= 60_000; ms += 50) expect(bucket.take(2400, ms)).toBe(false);
});

test("one that uses more becomes heavy, and stays so while it does", () => {
	const bucket = new CpuBucket(0);
	const heavyAtMs = [];
	for (let ms = 50; ms <= 10_000; ms += 50) if (bucket.take(5000, ms)) heavyAtMs.push(ms);
	expect(heavyAtMs).toEqual(Array.from({ length: heavyAtMs.length }, (_, index) => 10_000 - 50 * (heavyAtMs.length - 1 - index)));
	expect(heavyAtMs[0]).toBeLessThanOrEqual(500);
});

test("one run of 20 ms now and then isn't held against it; a longer one is", () => {
	expect(new CpuBucket(0).take(20_000, 20)).toBe(false);
	expect(new CpuBucket(0).take(22_000, 20)).toBe(true);
});

test("a heavy one is light again when the bucket is full, not as soon as something is in it", () => {
	const bucket = new CpuBucket(0);
	expect(bucket.take(25_000, 0)).toBe(true);
	expect(bucket.take(0, 499)).toBe(true);
	expect(bucket.take(0, 500)).toBe(false);
});

test("a second of rest makes up for a run of any length", () => {
	const bucket = new CpuBucket(0);
	expect(bucket.take(30_000_000, 30_000)).toBe(true);
	expect(bucket.take(0, 31_000)).toBe(false);
});
