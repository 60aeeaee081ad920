import { setTimeout as wait } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { WorkerSource } from "../invocation-source.js";
import { echo, Lanes, NODE, requestOf } from "../testing/lanes.js";
import { WORKER_OPTIONS } from "./leases.js";

let lanes: Lanes;
beforeAll(async () => {
	lanes = await Lanes.start();
});
afterEach(() => lanes.clear());
afterAll(() => lanes.stop());

/** BullMQ gives up a wait for a job so long after it should have ended, and waits for its connection then, milliseconds. */
const GIVEN_UP_MS = WORKER_OPTIONS.drainDelay * 1000 + 1000;

/** One that waits for a job. */
async function waiting(): Promise<WorkerSource> {
	const worker = await lanes.worker(echo);
	const gateway = await lanes.gateway();
	await gateway.run(NODE, requestOf());
	return worker;
}

/** Whether it ends at all. */
const ended = (work: Promise<void>) => Promise.race([work.then(() => true), wait(10_000, false)]);

test("a worker that waits for a job is closed while Redis has been away for longer than it waits", async () => {
	const worker = await waiting();
	await lanes.server.kill();
	await wait(GIVEN_UP_MS + 250);
	expect(await ended(worker.close())).toBe(true);
});

test("and is drained, not given up, when Redis comes back", async () => {
	const worker = await waiting();
	await lanes.server.kill();
	await wait(GIVEN_UP_MS + 250);
	const drained = worker.drain(60_000);
	await lanes.server.start();
	expect(await ended(drained)).toBe(true);
});

test("one that asks for a job when Redis goes is closed without its answer", async () => {
	const worker = await lanes.worker(echo);
	await lanes.server.kill();
	expect(await ended(worker.close())).toBe(true);
});
