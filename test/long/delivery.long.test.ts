import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { violationsIn } from "../faults/delivery/checker.js";
import { Driver } from "../faults/delivery/driver.js";
import { histories } from "../faults/delivery/operations.js";
import { type ProcessName, Stack } from "../harness/stack.js";

const HISTORIES = 40;
const MORTAL = ["worker", "gateway", "launcher"] as const satisfies readonly ProcessName[];

let stack: Stack;
let driver: Driver;
beforeAll(async () => {
	stack = await Stack.start();
	driver = await Driver.of(stack);
});
afterAll(() => stack?.stop());

it(`${HISTORIES} histories that nobody has seen: fast-check says the seed of one that breaks a promise`, async () => {
	const deaths = fc.array(fc.constantFrom(...MORTAL), { maxLength: 3 });
	const any = deaths.chain((processes) => histories(30, processes));
	const history = fc.asyncProperty(any, async (operations) => {
		expect(violationsIn(await driver.drive(operations))).toEqual([]);
	});
	await fc.assert(history, { numRuns: HISTORIES, endOnFailure: true });
});
