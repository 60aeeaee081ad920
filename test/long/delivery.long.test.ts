import fc from "fast-check";
import { afterAll, beforeAll, expect, it } from "vitest";
import { violationsIn } from "../faults/delivery/checker.js";
import { Driver } from "../faults/delivery/driver.js";
import { histories } from "../faults/delivery/operations.js";
import { freshSeed } from "../faults/delivery/seed.js";
import { type ProcessName, Stack } from "../harness/stack.js";

/** `TEST_HISTORIES` says how many others. */
const HISTORIES = Number(process.env["TEST_HISTORIES"] ?? 40);
const SEED = freshSeed();
const MORTAL = ["worker", "gateway", "launcher"] as const satisfies readonly ProcessName[];

let stack: Stack;
let driver: Driver;
beforeAll(async () => {
	stack = await Stack.start({ BERTH_CRASHES_ALLOWED: "0" });
	driver = await Driver.of(stack);
});
afterAll(() => stack?.stop());

it(`${HISTORIES} histories that nobody has seen keep every promise (TEST_SEED=${SEED})`, async () => {
	const deaths = fc.array(fc.constantFrom(...MORTAL), { maxLength: 3 });
	const any = deaths.chain((processes) => histories(30, processes));
	let seen = 0;
	const history = fc.asyncProperty(any, async (operations) => {
		const { asked, records, witnessed, ...rest } = await driver.drive(operations);
		process.stdout.write(`history ${++seen}: ${asked.length} asked, ${records.length} on record, ${witnessed.length} witnessed\n`);
		expect(violationsIn({ asked, records, witnessed, ...rest })).toEqual([]);
	});
	await fc.assert(history, { seed: SEED, numRuns: HISTORIES, endOnFailure: true });
});
