import { HOUR_MS, MINUTE_MS } from "@berth/contracts";
import { describe, expect, test } from "vitest";
import { IdleHistogram } from "./idle-histogram.js";
import { windowsOf } from "./windows.js";

const STANDARD = 10 * MINUTE_MS;
const GAP = 5 * MINUTE_MS;

function windowsAfter(...idleMinutes: readonly number[]) {
	const histogram = new IdleHistogram();
	for (const minutes of idleMinutes) histogram.record(minutes * MINUTE_MS);
	return windowsOf(histogram, STANDARD, GAP);
}
const times = (count: number, minutes: number) => Array.from({ length: count }, () => minutes);

describe("a function has the standard", () => {
	const standard = { by: "standard", prewarmMs: 0, keepMs: STANDARD };

	test("until ten idle times are known", () => {
		expect(windowsAfter()).toEqual(standard);
		expect(windowsAfter(...times(9, 30))).toEqual(standard);
		expect(windowsAfter(...times(10, 30)).by).toBe("pattern");
	});

	test("where its idle times are spread over all bins", () => {
		expect(windowsAfter(...Array.from({ length: 240 }, (_, minutes) => minutes + 0.5))).toEqual(standard);
	});

	test("where most are longer than four hours", () => {
		expect(windowsAfter(...times(10, 30), ...times(11, 241))).toEqual(standard);
		expect(windowsAfter(...times(11, 30), ...times(10, 241)).by).toBe("pattern");
	});
});

describe("a function with a pattern", () => {
	test("is gone until a tenth before the earliest, and there until a tenth after the latest minute", () => {
		const { prewarmMs, keepMs } = windowsAfter(...times(20, 30.5));
		expect([prewarmMs / MINUTE_MS, (prewarmMs + keepMs) / MINUTE_MS]).toEqual([27, expect.closeTo(34.1)]);
	});

	test("isn't ruled by one in a hundred that is later, or one in twenty-one that is earlier", () => {
		const { prewarmMs, keepMs } = windowsAfter(...times(8, 1.5), ...times(190, 30.5), ...times(1, 200));
		expect([prewarmMs / MINUTE_MS, (prewarmMs + keepMs) / MINUTE_MS]).toEqual([27, expect.closeTo(34.1)]);
	});

	test("is kept over gaps that aren't worth a start, and no shorter than they are", () => {
		expect(windowsAfter(...times(20, 4.5))).toMatchObject({ prewarmMs: 0, keepMs: expect.closeTo(5.5 * MINUTE_MS) });
		expect(windowsAfter(...times(20, 0.01))).toEqual({ by: "pattern", prewarmMs: 0, keepMs: GAP });
	});

	test("is never kept for longer than the standard", () => {
		const wide = windowsAfter(...times(10, 60.5), ...times(10, 120.5));
		expect(wide).toEqual({ by: "pattern", prewarmMs: 54 * MINUTE_MS, keepMs: STANDARD });
	});
});

describe("what was long ago", () => {
	test("counts less and less, and counts never overflow", () => {
		const histogram = new IdleHistogram();
		for (let at = 0; at < 200_000; at++) histogram.record(0);
		expect(histogram.samples).toBeLessThan(4096);
		for (let at = 0; at < 6 * 4096; at++) histogram.record(HOUR_MS);
		expect([histogram.binAt(0.05), histogram.binAt(0.99)]).toEqual([60, 60]);
	});
});
