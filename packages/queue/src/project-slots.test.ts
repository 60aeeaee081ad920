import { setTimeout as wait } from "node:timers/promises";
import { openRedis, SILENT } from "@berth/redis";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { openInvocationSource } from "./open.js";
import { ProjectSlots } from "./project-slots.js";
import { echo, Lanes, NODE, requestOf } from "./testing/lanes.js";

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

async function slotsOf(holder: string, heldMs?: number): Promise<ProjectSlots> {
	const [redis] = await openRedis([{ url: lanes.server.url, use: "command", name: "slots" }]);
	const slots = new ProjectSlots({ redis, holder, log: SILENT, ...(heldMs === undefined ? {} : { heldMs }) });
	closing.push(() => slots.close());
	return slots;
}

test("processes that race get as many as there are together, and what is given back is another's", async () => {
	const [one, two] = [await slotsOf("one"), await slotsOf("two")];
	const tries = await Promise.all(Array.from({ length: 20 }, (_, n) => (n % 2 === 0 ? one : two).take("shop", 5)));
	const taken = tries.filter((leave) => leave !== undefined);
	expect(taken).toHaveLength(5);
	expect(await one.count("shop")).toBe(5);
	taken[0]?.();
	taken[0]?.();
	await expect.poll(() => two.count("shop")).toBe(4);
	expect(await two.take("shop", 5)).toBeDefined();
	expect(await one.take("shop", 5)).toBeUndefined();
	expect(await one.take("another", 1)).toBeDefined();
});

test("what is held stays held, also when the fast Redis lost it; what a process that died held is free when its time is over", async () => {
	const [alive, dead, other] = [await slotsOf("alive", 400), await slotsOf("dead", 400), await slotsOf("other", 400)];
	await alive.take("shop", 2);
	await dead.take("shop", 2);
	await lanes.server.empty();
	await expect.poll(() => other.count("shop")).toBe(2);
	await dead.close();
	await expect.poll(() => other.count("shop")).toBe(1);
	expect(await other.take("shop", 1)).toBeUndefined();
});

test("no more of a project run in the background at once than it may have, of all its functions, and all of it is done", async () => {
	const running = { now: 0, most: 0, done: 0 };
	const source = await openInvocationSource({
		durableUrl: lanes.server.url,
		fastUrl: lanes.server.url,
		nodeId: NODE,
		incarnation: "1",
		projectConcurrency: (project) => (project === "default" ? 2 : undefined),
	});
	closing.push(() => source.close());
	const gateway = await lanes.gateway();
	await Promise.all(Array.from({ length: 8 }, (_, n) => gateway.enqueue(requestOf("", { function: `f${n % 3}` }))));
	await source.start(async (delivery) => {
		running.most = Math.max(running.most, ++running.now);
		await wait(20);
		running.now--;
		running.done++;
		return await echo(delivery);
	}, 64);
	await expect.poll(() => running.done, { timeout: 15_000 }).toBe(8);
	expect(running.most).toBe(2);
});
