import { expect, test } from "vitest";
import { durationsOf, quantile } from "./statistics.js";

test("a quantile is a sample that was measured, never one between two", () => {
	const sorted = [1, 2, 3, 4];
	expect(quantile(sorted, 0.5)).toBe(2);
	expect(quantile(sorted, 0.51)).toBe(3);
	expect(quantile(sorted, 0.99)).toBe(4);
	expect(quantile(sorted, 1)).toBe(4);
	expect(quantile(sorted, 0)).toBe(1);
});

test("of no samples everything is 0", () => {
	expect(durationsOf([])).toEqual({ p50Ms: 0, p90Ms: 0, p99Ms: 0, maxMs: 0 });
});

test("samples may come in any order", () => {
	const samples = Array.from({ length: 100 }, (_, index) => ((index * 37) % 100) + 1);
	expect(durationsOf(samples)).toEqual({ p50Ms: 50, p90Ms: 90, p99Ms: 99, maxMs: 100 });
});
