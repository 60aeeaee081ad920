import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { functionQueueOf, LANE, QUEUE_PREFIX } from "../keys.js";
import { Lanes, requestOf } from "../testing/lanes.js";

let lanes: Lanes;
beforeAll(async () => {
	lanes = await Lanes.start();
});
afterEach(() => lanes.clear());
afterAll(() => lanes.stop());

test("the functions that wait longest are told one by one, all others together; what is paused or for later waits for nothing", async () => {
	const gateway = await lanes.gateway();
	const now = Date.now();
	const add = (name: string, ageS: number, more = {}) =>
		gateway.enqueue(requestOf("", { function: name, acceptedAtMs: now - ageS * 1000, ...more }));
	for (const [at, ageS] of [30, 500, 70, 400].entries()) await add(`f${at}`, ageS);
	await add("f1", 5);
	await add("paused", 900);
	await gateway.pause({ project: "default", function: "paused" });
	await add("later", 0, { runAtMs: now + 3_600_000 });

	const { longest, others } = await gateway.backlogs(3);
	expect(longest.map((each) => [each.project, each.function, each.waiting, each.delayed])).toEqual([
		["default", "f1", 2, 0],
		["default", "f3", 1, 0],
		["default", "f2", 1, 0],
	]);
	expect(longest[0]?.oldestMs).toBeGreaterThanOrEqual(500_000);
	expect(others).toMatchObject({ waiting: 2, delayed: 1, active: 0 });
	expect(others.oldestMs).toBeGreaterThanOrEqual(30_000);
	expect(others.oldestMs).toBeLessThan(70_000);
});

test("more functions than one look takes are all counted", async () => {
	const gateway = await lanes.gateway();
	await lanes.server.client(async (redis) => {
		const all = redis.pipeline();
		for (let at = 0; at < 1200; at++) {
			const queue = `${QUEUE_PREFIX}:${functionQueueOf(`default/f${at}`)}`;
			all.zadd(LANE.index, at, `default/f${at}`);
			all.lpush(`${queue}:wait`, "inv_1").hset(`${queue}:inv_1`, "timestamp", Date.now() - 1000 - at * 100);
		}
		await all.exec();
	});
	const { longest, others } = await gateway.backlogs(20);
	expect(longest.map(({ function: name }) => name)).toEqual(Array.from({ length: 20 }, (_, at) => `f${1199 - at}`));
	expect(others.waiting).toBe(1180);
	await lanes.server.empty();
	expect(await gateway.backlogs(20)).toEqual({ longest: [], others: { waiting: 0, delayed: 0, active: 0, oldestMs: 0 } });
});
