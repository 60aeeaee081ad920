import type { InvocationRequest } from "@berth/contracts";
import { closeRedis, openRedis, type Redis } from "@berth/redis";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { functionKeyOf, functionQueueOf, LANE, QUEUE_PREFIX } from "../keys.js";
import { echo, Lanes, requestOf } from "../testing/lanes.js";
import { FunctionQueues } from "./function-queues.js";
import { LaneIndex } from "./lane-index.js";
import { LaneTakes } from "./lane-takes.js";

let lanes: Lanes;
let redis: Redis;
let takes: LaneTakes;
beforeAll(async () => {
	lanes = await Lanes.start();
	[redis] = await openRedis([{ url: lanes.server.url, use: "patient", name: "test" }]);
	const queues = new FunctionQueues(redis, { debug() {}, info() {}, warn() {}, error() {} });
	takes = new LaneTakes({ redis, queues, index: new LaneIndex(redis) });
});
afterEach(() => lanes.clear());
afterAll(async () => {
	await closeRedis(redis);
	await lanes.stop();
});

const queueKey = (request: InvocationRequest, rest: string) => `${QUEUE_PREFIX}:${functionQueueOf(functionKeyOf(request))}:${rest}`;

test("of what a node can't run it takes what is too old; what comes instead since another node was quicker is put back untried, and runs elsewhere", async () => {
	const gateway = await lanes.gateway();
	const [old, fresh] = [requestOf("old", { retry: { maxAgeMs: 1 }, acceptedAtMs: Date.now() - 60_000 }), requestOf("fresh")];
	const key = functionKeyOf(old);
	await gateway.enqueue(old);
	await gateway.enqueue(fresh);
	expect((await takes.nextTooOld(key))?.job.data.id).toBe(old.id);
	expect(await takes.nextTooOld(key)).toBeUndefined();
	expect(await redis.lrange(queueKey(fresh, "wait"), "0", "-1")).toEqual([fresh.id]);
	expect(await redis.hget(queueKey(fresh, fresh.id), "ats")).toBe("0");
	expect(await redis.exists(queueKey(fresh, `${fresh.id}:lock`))).toBe(0);
	expect(await redis.zscore(LANE.index, key)).not.toBeNull();
	const attempts: unknown[] = [];
	await lanes.worker(async (delivery) => {
		attempts.push([delivery.request.id, delivery.attempt]);
		return await echo(delivery);
	});
	await expect.poll(() => attempts).toEqual([[fresh.id, 1]]);
});

test("what is on its way when nothing more is to be taken is waited for, and put back untried", async () => {
	const gateway = await lanes.gateway();
	const request = requestOf();
	await gateway.enqueue(request);
	const taking = takes.next(functionKeyOf(request));
	await takes.stop();
	expect(await redis.lrange(queueKey(request, "wait"), "0", "-1")).toEqual([request.id]);
	expect(await redis.hget(queueKey(request, request.id), "ats")).toBe("0");
	expect(await taking).toBeUndefined();
	expect(await takes.next(functionKeyOf(request))).toBeUndefined();
});
