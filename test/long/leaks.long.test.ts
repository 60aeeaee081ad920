import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { beyond, footprintOf, residentBytesOf } from "../harness/footprint.js";
import { type ProcessName, Stack } from "../harness/stack.js";
import { HostileLoad } from "../security/hostile-load.js";

const MIB = 1024 * 1024;
const BATCHES = 10;
const PER_BATCH = 1000;
/** What a heap that is collected when it likes wavers by: a leak of 3 KiB an invocation is more over all of them. */
const FLAT_MIB = 32;
const PROCESSES: readonly ProcessName[] = ["worker", "gateway", "launcher"];

let stack: Stack;
beforeAll(async () => {
	stack = await Stack.start({ BERTH_CRASHES_ALLOWED: "0" });
});
afterAll(() => stack?.stop());

it("10,000 hostile invocations leave nothing, batch by batch, and no process grows with them", async () => {
	const hostile = await HostileLoad.deploy(stack);
	await hostile.run(PER_BATCH);
	const before = await footprintOf(stack);
	const resident: Record<string, number[]> = Object.fromEntries(PROCESSES.map((name) => [name, []]));
	for (let batch = 0; batch < BATCHES; batch++) {
		await stack.client.command({ kind: "prewarm", floor: "default" });
		await hostile.run(PER_BATCH);
		await eventually(async () => expect(beyond(before, await footprintOf(stack))).toEqual(before), 30_000);
		for (const name of PROCESSES) resident[name]?.push(residentBytesOf(await stack.pidOf(name)) / MIB);
	}
	const growth = Object.fromEntries(Object.entries(resident).map(([name, samples]) => [name, slopeOf(samples) * BATCHES]));
	const text = JSON.stringify({ resident, growth });
	console.log(text);
	for (const mib of Object.values(growth)) expect(mib, text).toBeLessThan(FLAT_MIB);
});

/** Of the straight line that is nearest to them, from one to the next (least squares). */
function slopeOf(samples: readonly number[]): number {
	const middle = (samples.length - 1) / 2;
	const mean = samples.reduce((sum, value) => sum + value, 0) / samples.length;
	const covariance = samples.reduce((sum, value, index) => sum + (index - middle) * (value - mean), 0);
	return covariance / samples.reduce((sum, _, index) => sum + (index - middle) ** 2, 0);
}
