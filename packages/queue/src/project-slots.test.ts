import { setTimeout as wait } from "node:timers/promises";
import { openRedis, SILENT } from "@berth/redis";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { BackgroundSource } from "./bullmq/background-source.js";
import { slotsWantedOf } from "./keys.js";
import { openInvocationSource } from "./open.js";
import { mostInBackground, ProjectSlots } from "./project-slots.js";
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

async function slotsOf(holder: string, heldMs?: number, reserve?: number): Promise<ProjectSlots> {
	const [redis] = await openRedis([{ url: lanes.server.url, use: "command", name: "slots" }]);
	const more = { ...(heldMs === undefined ? {} : { heldMs }), ...(reserve === undefined ? {} : { reserve }) };
	const slots = new ProjectSlots({ redis, holder, log: SILENT, ...more });
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
	// Who lives holds for longer than its process may be kept from saying so.
	const [alive, dead, other] = [await slotsOf("alive", 4000), await slotsOf("dead", 400), await slotsOf("other", 400)];
	await alive.take("shop", 2);
	await dead.take("shop", 2);
	await lanes.server.empty();
	await expect.poll(() => other.count("shop")).toBe(2);
	await dead.close();
	await expect.poll(() => other.count("shop")).toBe(1);
	expect(await other.take("shop", 1)).toBeUndefined();
});

test("no more of a project run in the background at once than it may have, of all its functions, and all of it is done", async () => {
	const running = { now: 0, most: 0, done: 0, two: Promise.withResolvers<void>() };
	const source = await openInvocationSource({
		durableUrl: lanes.server.url,
		fastUrl: lanes.server.url,
		nodeId: NODE,
		incarnation: "1",
		projectConcurrency: (project) => (project === "default" ? 3 : undefined),
	});
	closing.push(() => source.close());
	const gateway = await lanes.gateway();
	await Promise.all(Array.from({ length: 8 }, (_, n) => gateway.enqueue(requestOf("", { function: `f${n % 3}` }))));
	await source.start(async (delivery) => {
		running.most = Math.max(running.most, ++running.now);
		if (running.now === 2) running.two.resolve();
		await running.two.promise;
		await wait(20);
		running.now--;
		running.done++;
		return await echo(delivery);
	}, 64);
	await expect.poll(() => running.done, { timeout: 15_000 }).toBe(8);
	expect(running.most).toBe(2);
});

test.each([
	[1, 0.25, 1],
	[2, 0.25, 1],
	[4, 0.25, 3],
	[10, 0.25, 8],
	[100, 0.25, 75],
	[3, 0.9, 1],
	[8, 0, 8],
])("of %i slots, with a reserve of %d, the background has %i at most", (limit, reserve, most) => {
	expect(mostInBackground(limit, reserve)).toBe(most);
});

test("the background lane leaves a part of a project's slots to those who wait, who may have all of them", async () => {
	const [gateway, worker] = [await slotsOf("gateway"), await slotsOf("worker")];
	const inBackground = await Promise.all(Array.from({ length: 8 }, () => worker.take("shop", 4, "background")));
	expect(inBackground.filter((leave) => leave !== undefined)).toHaveLength(3);
	expect(await gateway.take("shop", 4)).toBeDefined();
	expect(await gateway.take("shop", 4)).toBeUndefined();
	expect(await gateway.count("shop")).toBe(4);
	inBackground[0]?.();
	await expect.poll(() => gateway.count("shop")).toBe(3);
	expect(await gateway.take("shop", 4)).toBeDefined();
	expect(await worker.take("shop", 4, "background")).toBeUndefined();
	const all = await slotsOf("all", undefined, 0);
	expect((await Promise.all([1, 2].map(() => all.take("other", 2, "background")))).every((leave) => leave !== undefined)).toBe(true);
});

test("a slot that another process gives back is taken at once by a worker that was refused one, which asks for it once", async () => {
	const other = await slotsOf("another node");
	const leave = await other.take("default", 1);
	const began: number[] = [];
	await lanes.worker(
		async (delivery) => {
			began.push(performance.now());
			return await echo(delivery);
		},
		64,
		undefined,
		"1",
		undefined,
		{ projectConcurrency: () => 1 },
	);
	const gateway = await lanes.gateway();
	await Promise.all(Array.from({ length: 5 }, (_, n) => gateway.enqueue(requestOf("", { function: `f${n}` }))));
	await lanes.server.client((redis) => expect.poll(() => redis.exists(slotsWantedOf("default"))).toBe(1));
	expect(began).toEqual([]);
	const asked = () =>
		lanes.server.client(async (redis) => Number(/cmdstat_evalsha:calls=(\d+)/.exec(await redis.info("commandstats"))?.[1]));
	const [before, since] = [await asked(), performance.now()];
	await wait(1000);
	// What the lane asks each second stays: a look at each of five functions that are due.
	expect((await asked()) - before).toBeLessThan(12 * ((performance.now() - since) / 1000));
	const freedAt = performance.now();
	leave?.();
	await expect.poll(() => began.length).toBe(5);
	expect((began[0] as number) - freedAt).toBeLessThan(1000);
	expect(await gateway.backgroundTotals()).toMatchObject({ accepted: 5 });
});

test("a function that is stuck is seen by the watchdog beside one whose project is full and one that is for another node", async () => {
	const parts = await openRedis([
		{ url: lanes.server.url, use: "patient", name: "durable" },
		{ url: lanes.server.url, use: "subscriber", name: "news" },
	]);
	const [redis, subscriber] = parts;
	const [slots, other] = [await slotsOf("worker"), await slotsOf("other")];
	await other.take("full", 1);
	const ran: string[] = [];
	let asked = 0;
	const source = new BackgroundSource({
		redis,
		subscriber,
		slots,
		slotNews: subscriber,
		nodeId: NODE,
		log: SILENT,
		lackOf: async () => undefined,
		crashLoopOf: () => undefined,
		projectConcurrency: (project) => (project === "full" ? 1 : undefined),
		// What bounds it never comes, the first time that it is asked for.
		limitsOf: async (_, name) =>
			name === "stuck" && ++asked === 1 ? await new Promise<never>(() => undefined) : { isElsewhere: name === "elsewhere" },
		watch: { overdueMs: 100, lookMs: 20, stuckMs: 500 },
	});
	closing.push(async () => {
		await source.close();
		for (const one of parts) one.disconnect();
	});
	const gateway = await lanes.gateway();
	source.start(async (delivery) => {
		ran.push(delivery.request.function);
		return await echo(delivery);
	}, 16);
	const enqueue = (project: string, name: string) => gateway.enqueue(requestOf("", { project, function: name }));
	await Promise.all([enqueue("full", "waits"), enqueue("default", "elsewhere")]);
	await wait(1500);
	expect(source.totals.revived).toBe(0);
	await enqueue("default", "stuck");
	await expect.poll(() => ran, { timeout: 10_000 }).toEqual(["stuck"]);
	expect(source.totals.revived).toBe(1);
});
