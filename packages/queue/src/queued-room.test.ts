import { newId } from "@berth/contracts";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { openInvocationQueue, openOutbox } from "./open.js";
import type { QueueRefusal } from "./queued-room.js";
import { echo, FUNCTION_RECORDS, Lanes, requestOf } from "./testing/lanes.js";

let lanes: Lanes;
const closing: (() => Promise<void>)[] = [];
beforeAll(async () => {
	lanes = await Lanes.start();
});
afterEach(async () => {
	await Promise.all(closing.splice(0).map((close) => close()));
	await lanes.clear();
});
afterAll(() => lanes.stop());

async function gatewayOf(perFunction: number, perProject: number) {
	const refused: QueueRefusal[] = [];
	const gateway = await openInvocationQueue({
		durableUrl: lanes.server.url,
		fastUrl: lanes.server.url,
		gatewayId: newId("gw"),
		functionRecords: FUNCTION_RECORDS,
		queued: { perFunction, perProject: () => perProject },
		onQueueFull: (reason) => refused.push(reason),
	});
	closing.push(() => gateway.close());
	const add = (name: string, project = "default") => gateway.enqueue(requestOf("", { function: name, project }));
	return { gateway, add, refused };
}

test("a function whose queue is full is refused, nothing of that is queued, and another one isn't", async () => {
	const { gateway, add, refused } = await gatewayOf(3, 100);
	for (let n = 0; n < 3; n++) await add("full");
	await expect(add("full")).rejects.toMatchObject({
		code: "queue_full",
		message: "full has 3 background invocations queued, of 3 at most; nothing was accepted",
		extra: { retryAfterMs: 60_000 },
	});
	await expect(gateway.requireRoom({ project: "default", function: "full" })).rejects.toMatchObject({ code: "queue_full" });
	await add("other");
	expect(refused).toEqual(["function", "function"]);
	expect(await gateway.backgroundTotals()).toEqual({ accepted: 4, settled: 0, dead: 0, inFlight: 4 });
});

test("a project has a limit of its own, which another project's functions don't count in", async () => {
	const { add, refused } = await gatewayOf(100, 4);
	for (const name of ["a", "b", "a", "b"]) await add(name);
	await expect(add("c")).rejects.toMatchObject({ code: "queue_full", message: expect.stringMatching(/^project default has 4/) });
	await add("a", "default-2");
	expect(refused).toEqual(["project"]);
});

test("what is still to follow settlements counts in its project, and a function that follows one isn't refused for that", async () => {
	const { gateway, add, refused } = await gatewayOf(100, 2);
	const outbox = await openOutbox({ durableUrl: lanes.server.url });
	closing.push(() => outbox.close());
	await lanes.worker(echo);
	const [called, followed] = [requestOf("", { callback: "http://receiver.test/" }), requestOf("", { follow: { onSuccess: "next" } })];
	for (const request of [called, followed]) await gateway.enqueue(request);
	await expect.poll(() => outbox.size()).toBe(2);
	await expect
		.poll(() => add("c").then(() => "accepted", String))
		.toContain("project default has 2 background invocations queued, and callbacks");
	await gateway.enqueue(requestOf("", { function: "next", parent: { id: followed.id, function: "echo" } }), "leave");
	await expect(gateway.enqueue(requestOf("", { parent: { id: called.id, function: "echo" } }))).rejects.toMatchObject({
		code: "queue_full",
	});
	await add("c", "theirs");
	expect(new Set(refused)).toEqual(new Set(["project"]));
});

test("what other gateways queue counts, and what is done makes room; when that will be is told by how fast it goes", async () => {
	const [first, second] = [await gatewayOf(200, 1000), await gatewayOf(200, 1000)];
	await Promise.all(Array.from({ length: 200 }, () => first.add("shared")));
	await expect(second.add("shared")).rejects.toMatchObject({ code: "queue_full" });
	await lanes.worker(async (delivery) => {
		await new Promise((resolve) => setTimeout(resolve, 5));
		return await echo(delivery);
	});
	await expect.poll(() => second.add("shared").then(() => "accepted", String)).toBe("accepted");
});
