import { afterAll, beforeAll, expect, it } from "vitest";
import { OWN, restartUnderLoad } from "../faults/restarts.js";
import { deploy, fixture } from "../harness/functions.js";
import { Stack } from "../harness/stack.js";

const TIMES = 34;

let stack: Stack;
beforeAll(async () => {
	stack = await Stack.start({ BERTH_PREWARMED: "1" });
});
afterAll(() => stack?.stop());

it("102 restarts, 34 of each process of Berth's own, fail none of the invocations that go on meanwhile", async () => {
	const { succeeded, failures } = await restartUnderLoad(stack, await deploy(stack, { source: fixture("sleeps") }), OWN, TIMES);
	console.log(JSON.stringify({ succeeded, failures }));
	expect(failures).toEqual([]);
});
