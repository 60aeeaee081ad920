import { COMPACTION_IDLE_MS } from "@berth/contracts";
import { expect, test } from "vitest";
import { COMPACTED_AFTER_MS, COMPACTED_AT_LATEST_MS, Compaction, FREEZE_AFTER_MS, WORTH } from "./compaction.js";

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

/** How long a sandbox that is looked at every 20 ms stays awake. @param usesUs what it uses in a millisecond, by how long it has rested */
function awakeMs(compaction: Compaction, usesUs: (ms: number) => number): number {
	let [ms, cpuUs] = [0, 0];
	for (; compaction.leavesAwake(ms, () => cpuUs); ms += FREEZE_AFTER_MS)
		for (let each = 0; each < FREEZE_AFTER_MS; each++) cpuUs += usesUs(ms + each);
	return ms;
}

test("is waited for as long as it goes on, but not for ever", () => {
	const compaction = new Compaction();
	expect(awakeMs(compaction, () => 1000)).toBe(FREEZE_AFTER_MS);
	const awake = (usesUs: (ms: number) => number) => {
		askedIn(compaction, WORTH, FREEZE_AFTER_MS);
		const ms = awakeMs(compaction, usesUs);
		compaction.rested();
		return ms;
	};
	// Of 40 ms of CPU, which it has at once, or a twentieth at a time because others compute.
	expect(awake((ms) => (ms >= COMPACTION_IDLE_MS && ms < COMPACTION_IDLE_MS + 40 ? 1000 : 0))).toBe(COMPACTED_AFTER_MS);
	const slowly = awake((ms) => (ms >= COMPACTION_IDLE_MS && ms < COMPACTION_IDLE_MS + 600 ? 67 : 0));
	expect(slowly).toBeGreaterThanOrEqual(COMPACTION_IDLE_MS + 600);
	expect(slowly).toBeLessThan(COMPACTED_AT_LATEST_MS);
	expect(awake(() => 1000)).toBe(COMPACTED_AT_LATEST_MS);
	expect(awake((ms) => (ms < 100 ? 1000 : 0))).toBe(COMPACTED_AFTER_MS);
});
