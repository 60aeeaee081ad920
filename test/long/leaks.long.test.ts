import { afterAll, beforeAll, expect, it } from "vitest";
import { eventually } from "../harness/eventually.js";
import { beyond, footprintOf } from "../harness/footprint.js";
import { type Held, heldBy } from "../harness/heap.js";
import { type ProcessName, Stack } from "../harness/stack.js";
import { HostileLoad } from "../security/hostile-load.js";

const MIB = 1024 * 1024;
const BATCHES = 10;
const PER_BATCH = 1000;
/**
 * What is held after a collection wavers by, with what V8 compiles meanwhile (0.4 MiB of heap and 6 MiB resident over 4,800): a leak of
 * 420 bytes an invocation is more over all of them. What a process holds between two collections says nothing: it goes up to what it may.
 */
const FLAT_MIB = { heap: 4, resident: 16 };
const PROCESSES: readonly ProcessName[] = ["worker", "gateway", "launcher"];

let stack: Stack;
beforeAll(async () => {
	stack = await Stack.start({ BERTH_CRASHES_ALLOWED: "0" });
});
afterAll(() => stack?.stop());

it("10,000 hostile invocations leave nothing, batch by batch, and no process grows with them", async () => {
	const hostile = await HostileLoad.deploy(stack);
	await hostile.run(PER_BATCH);
	const held: Record<string, Record<keyof Held, number[]>> = {};
	const look = async () => {
		for (const name of PROCESSES) {
			const { heap, resident } = await heldBy(await stack.pidOf(name));
			held[name] ??= { heap: [], resident: [] };
			held[name].heap.push(heap / MIB);
			held[name].resident.push(resident / MIB);
		}
	};
	await look();
	const before = await footprintOf(stack);
	for (let batch = 0; batch < BATCHES; batch++) {
		await stack.client.command({ kind: "prewarm", floor: "default" });
		await hostile.run(PER_BATCH);
		await eventually(async () => expect(beyond(before, await footprintOf(stack))).toEqual(before), 30_000);
		await look();
	}
	const growth = Object.entries(held).map(([name, { heap, resident }]) => ({ name, heap: growthOf(heap), resident: growthOf(resident) }));
	const text = JSON.stringify({ held, growth });
	console.log(text);
	for (const { heap, resident } of growth) {
		expect(heap, text).toBeLessThan(FLAT_MIB.heap);
		expect(resident, text).toBeLessThan(FLAT_MIB.resident);
	}
});

/** From the first to the last, by the straight line that is nearest to them (least squares). */
function growthOf(samples: readonly number[]): number {
	return slopeOf(samples) * (samples.length - 1);
}

/** Of the straight line that is nearest to them, from one to the next (least squares). */
function slopeOf(samples: readonly number[]): number {
	const middle = (samples.length - 1) / 2;
	const mean = samples.reduce((sum, value) => sum + value, 0) / samples.length;
	const covariance = samples.reduce((sum, value, index) => sum + (index - middle) * (value - mean), 0);
	return covariance / samples.reduce((sum, _, index) => sum + (index - middle) ** 2, 0);
}
