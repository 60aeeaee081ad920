import { expect, test } from "vitest";
import { CpuBucket } from "./cpu-bucket.js";

/** The bucket of a sandbox that has made up for its boot. */
function rested(): CpuBucket {
	const bucket = new CpuBucket(0);
	bucket.take(0, 0);
	return bucket;
}

test("a sandbox is heavy when it has booted, and for a second at most if it rests then", () => {
	const bucket = new CpuBucket(0);
	expect(bucket.take(60_000, 100)).toBe(true);
	expect(bucket.take(0, 1100)).toBe(false);
	const quick = new CpuBucket(0);
	expect(quick.take(15_000, 0)).toBe(true);
	expect(quick.take(0, 300)).toBe(false);
});

test("a sandbox that uses less than a twentieth of a core is never heavy, for however long", () => {
	const bucket = rested();
	for (let ms = 50; ms <= 60_000; ms += 50) expect(bucket.take(2400, ms)).toBe(false);
});

test("one that uses more becomes heavy, and stays so while it does", () => {
	const bucket = rested();
	const heavyAtMs = [];
	for (let ms = 50; ms <= 10_000; ms += 50) if (bucket.take(5000, ms)) heavyAtMs.push(ms);
	expect(heavyAtMs).toEqual(Array.from({ length: heavyAtMs.length }, (_, index) => 10_000 - 50 * (heavyAtMs.length - 1 - index)));
	expect(heavyAtMs[0]).toBeLessThanOrEqual(500);
});

test("one run of 20 ms now and then isn't held against it; a longer one is", () => {
	expect(rested().take(20_000, 20)).toBe(false);
	expect(rested().take(22_000, 20)).toBe(true);
});

test("a heavy one is light again when the bucket is full, not as soon as something is in it", () => {
	const bucket = rested();
	expect(bucket.take(25_000, 0)).toBe(true);
	expect(bucket.take(0, 499)).toBe(true);
	expect(bucket.take(0, 500)).toBe(false);
});

test("a second of rest makes up for a run of any length", () => {
	const bucket = rested();
	expect(bucket.take(30_000_000, 30_000)).toBe(true);
	expect(bucket.take(0, 31_000)).toBe(false);
});
