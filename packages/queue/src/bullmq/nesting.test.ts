import type { InvocationRequest, Settlement } from "@berth/contracts";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { GatewayQueue } from "../invocation-queue.js";
import type { WorkerSource } from "../invocation-source.js";
import type { Delivery } from "../ports.js";
import { Lanes, NODE, requestOf, settlementOf } from "../testing/lanes.js";

/** Three interactive places, and one in the background. */
const CONCURRENCY = 4;
const MOST_DEPTH = 8;

let lanes: Lanes;
let gateway: GatewayQueue;
let worker: WorkerSource;
beforeAll(async () => {
	lanes = await Lanes.start();
});
beforeEach(async () => {
	gateway = await lanes.gateway();
});
afterEach(() => lanes.clear());
afterAll(() => lanes.stop());

/** Invokes another one, and waits for it. */
async function invoke(parent: InvocationRequest, text: string): Promise<Settlement> {
	const over = worker.waits(parent.id);
	try {
		const request = requestOf(text, { depth: (parent.depth ?? 0) + 1, parent: { id: parent.id, function: "echo" } });
		return await gateway.run(NODE, request);
	} finally {
		over();
	}
}

const done = () => settlementOf("succeeded");
const roots = (count: number, text: string) => Array.from({ length: count }, () => gateway.run(NODE, requestOf(text)));
const textOf = ({ request: { body } }: Delivery) => ("text" in body ? body.text : "");

test("more invocations that wait for others than there are places, eight deep, all end", async () => {
	worker = await lanes.worker(async ({ request }) => {
		if ((request.depth ?? 0) < MOST_DEPTH) await invoke(request, "");
		return done();
	}, CONCURRENCY);
	const settled = await Promise.all(roots(12, ""));
	expect(settled.map(({ attempt }) => attempt.outcome)).toEqual(settled.map(() => "succeeded"));
});

test("what is waited for is taken also when every place is held by others, and before those that wait for a place", async () => {
	const child = Promise.withResolvers<void>();
	const order: string[] = [];
	const full = Promise.withResolvers<void>();
	let held = 0;
	worker = await lanes.worker(async (delivery) => {
		const text = textOf(delivery);
		order.push(text);
		if (text === "parent") await full.promise.then(() => invoke(delivery.request, "child"));
		else if (text === "child") child.resolve();
		else {
			if (++held === 3) full.resolve();
			await child.promise;
		}
		return done();
	}, CONCURRENCY);
	await gateway.enqueue(requestOf("parent"));
	await Promise.all(roots(9, "other"));
	expect(order.filter((text) => text !== "parent").indexOf("child")).toBe(3);
});

test("who has waited has its place again, and leaves one when it ends", async () => {
	let [running, most] = [0, 0];
	const full = Promise.withResolvers<void>();
	worker = await lanes.worker(async (delivery) => {
		const text = textOf(delivery);
		if (text === "parent") await invoke(delivery.request, "child");
		if (text !== "plain") return done();
		most = Math.max(most, ++running);
		if (running === 3) full.resolve();
		await full.promise;
		await new Promise((resolve) => setImmediate(resolve));
		running--;
		return done();
	}, CONCURRENCY);
	await Promise.all(roots(9, "parent"));
	await Promise.all(roots(9, "plain"));
	expect(most).toBe(3);
});
