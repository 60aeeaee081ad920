import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Stack } from "../harness/stack.js";
import { violationsIn } from "./delivery/checker.js";
import { Driver } from "./delivery/driver.js";
import { histories } from "./delivery/operations.js";
import { freshSeed } from "./delivery/seed.js";

/** Of both lanes and most deeds, with cancellations, a replay, and kills: the same each time. */
const KNOWN = { seed: 2219, steps: 18, deaths: ["worker", "gateway"], least: 20 } as const;
/** One that nobody has seen, without kills, which take seconds; test/long has more of them, with. */
const FRESH = { seed: freshSeed(), steps: 8, deaths: [], least: 1 } as const;

let stack: Stack;
let driver: Driver;
beforeAll(async () => {
	stack = await Stack.start({ BERTH_PREWARMED: "2", BERTH_PREWARMED_BUILDS: "1", BERTH_CRASHES_ALLOWED: "0" });
	driver = await Driver.of(stack);
});
afterAll(() => stack?.stop());

it.each([KNOWN, FRESH])(
	"whatever is invoked, deployed, left and killed in whatever order: nothing accepted is lost, nothing runs that mustn't, all adds up (TEST_SEED=$seed, $steps steps)",
	async ({ seed, steps, deaths, least }) => {
		const history = fc.asyncProperty(histories(steps, deaths), async (operations) => {
			const seen = await driver.drive(operations);
			expect(violationsIn(seen)).toEqual([]);
			// That there was something to see: histories in which everything is refused prove nothing.
			expect(seen.records.length).toBeGreaterThanOrEqual(least);
		});
		await fc.assert(history, { seed, numRuns: 1, endOnFailure: true });
	},
);
