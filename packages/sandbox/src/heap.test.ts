import { MEMORY_CLASSES, MIB } from "@berth/contracts";
import { expect, test } from "vitest";
import { heapBytes, heapOf } from "./heap.js";

test.each(MEMORY_CLASSES)("the heap of a %i MiB sandbox, full, is below its limit: V8 gives up before the kernel kills", (size) => {
	const { oldSpaceMiB, semiSpaceMiB } = heapOf(size);
	expect(oldSpaceMiB + 3 * semiSpaceMiB).toBeLessThan(size * 0.81);
});

test("a larger sandbox has a larger heap", () => {
	const sizes = MEMORY_CLASSES.map((size) => heapOf(size).oldSpaceMiB);
	expect(sizes).toEqual([...new Set(sizes)].sort((a, b) => a - b));
});

test("the flags are ones that the launcher takes: whole numbers, never too small for Node", () => {
	for (const size of MEMORY_CLASSES) {
		const { oldSpaceMiB, semiSpaceMiB } = heapOf(size);
		expect([Number.isInteger(oldSpaceMiB), Number.isInteger(semiSpaceMiB)]).toEqual([true, true]);
		expect(oldSpaceMiB).toBeGreaterThanOrEqual(16);
		expect(heapBytes({ oldSpaceMiB, semiSpaceMiB })).toBe(oldSpaceMiB * MIB);
	}
});
