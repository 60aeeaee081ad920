import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { Stack } from "../harness/stack.js";
import { violationsIn } from "./delivery/checker.js";
import { Driver } from "./delivery/driver.js";
import { histories } from "./delivery/operations.js";

/** The same history each time, of both lanes and most deeds, with cancellations and a replay; test/long has others, and more. */
const SEED = 2219;

let stack: Stack;
let driver: Driver;
beforeAll(async () => {
	stack = await Stack.start({ BERTH_PREWARMED: "2", BERTH_PREWARMED_BUILDS: "1" });
	driver = await Driver.of(stack);
});
afterAll(() => stack?.stop());

it("whatever is invoked, deployed, left and killed in whatever order: nothing accepted is lost, nothing runs that mustn't, all adds up", async () => {
	const history = fc.asyncProperty(histories(18, ["worker", "gateway"]), async (operations) => {
		const seen = await driver.drive(operations);
		expect(violationsIn(seen)).toEqual([]);
		// That there was something to see: histories in which everything is refused prove nothing.
		expect(seen.records.length).toBeGreaterThan(20);
	});
	await fc.assert(history, { seed: SEED, numRuns: 1, endOnFailure: true });
});
