import { COMPACTION_IDLE_MS } from "@berth/contracts";
import { expect, test } from "vitest";
import { COMPACTED_AFTER_MS, Compaction, FREEZE_AFTER_MS, WORTH } from "./compaction.js";

/** How often it is asked for in a row of invocations, this far apart. */
function askedIn(compaction: Compaction, invocations: number, gapMs: number): number {
	return Array.from({ length: invocations }, () => compaction.asks(gapMs)).filter(Boolean).length;
}

test("is asked for once there is garbage of a hundred invocations, and again after a hundred more", () => {
	const compaction = new Compaction();
	expect(askedIn(compaction, WORTH - 1, 1)).toBe(0);
	expect(compaction.asks(1)).toBe(true);
	compaction.rested();
	expect(askedIn(compaction, WORTH - 1, 1)).toBe(0);
});

test("stays asked for while requests follow so closely that the sandbox wouldn't be frozen, until it comes to rest", () => {
	const compaction = new Compaction();
	askedIn(compaction, WORTH, FREEZE_AFTER_MS);
	expect(askedIn(compaction, 10 * WORTH, FREEZE_AFTER_MS)).toBe(10 * WORTH);
});

test.each([FREEZE_AFTER_MS + 10, 100, COMPACTION_IDLE_MS - 1, COMPACTION_IDLE_MS, COMPACTED_AFTER_MS - 1])(
	"leaves a sandbox with a request every %d ms awake for no longer than one rest takes, in a hundred invocations",
	(gapMs) => {
		const compaction = new Compaction();
		const asked = askedIn(compaction, 100 * WORTH, gapMs);
		expect(asked).toBeGreaterThan(0);
		expect((asked * (gapMs - FREEZE_AFTER_MS)) / 100).toBeLessThan(COMPACTED_AFTER_MS + gapMs);
	},
);
