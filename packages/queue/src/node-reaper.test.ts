import { once } from "node:events";
import { openRedis, type Redis } from "@berth/redis";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { NODE_QUEUES, nodeLeaseOf, REAPER, unbegunOf } from "./keys.js";
import { NodeReaper } from "./node-reaper.js";
import { Lanes, requestOf } from "./testing/lanes.js";

const GONE = "node_gone";
const LOG = { debug() {}, info() {}, warn() {}, error() {} };

let lanes: Lanes;
let redis: Redis;
const reapers: NodeReaper[] = [];
beforeAll(async () => {
	lanes = await Lanes.start();
	[redis] = await openRedis([{ url: lanes.server.url, use: "command", name: "test" }]);
});
afterEach(async () => {
	await Promise.all(reapers.splice(0).map((one) => one.stop()));
	await lanes.clear();
});
afterAll(async () => {
	redis.disconnect();
	await lanes.stop();
});

function reaper(gatewayId: string, goneMs = 0): NodeReaper {
	const made = new NodeReaper({ redis, gatewayId, log: LOG, timing: { everyMs: 60_000, leaseMs: 15_000, goneMs } });
	reapers.push(made);
	return made;
}

const keysLeft = () => redis.keys(`*i-${GONE}*`);

test("what waits for a node that doesn't come back is settled, by one gateway at a time, and nothing of its queue is left", async () => {
	const gateway = await lanes.gateway();
	const request = requestOf();
	const answer = gateway.run(GONE, request);
	answer.catch(() => undefined);
	await expect.poll(keysLeft).not.toEqual([]);
	await redis.zadd(NODE_QUEUES, Date.now(), GONE);
	await redis.set(REAPER, "gw_other", "PX", 60_000);
	const one = reaper("gw_one");
	await one.look();
	await one.look();
	expect(await gateway.record(request.id)).toBeUndefined();
	// The other one died: its lease ends.
	await redis.del(REAPER);
	await one.look();
	await one.look();
	await expect(answer).rejects.toMatchObject({ code: "expired_in_queue" });
	expect(await gateway.record(request.id)).toMatchObject({ last: { code: "expired_in_queue" } });
	expect(await keysLeft()).toEqual([]);
	expect(await redis.zrange(NODE_QUEUES, "0", "-1")).toEqual([]);
	expect(await redis.get(REAPER)).toBe("gw_one");
});

test("a node is left alone that is there, or hasn't been seen to be away for long enough, whatever became of its lease while Redis was away", async () => {
	const gateway = await lanes.gateway();
	gateway.run(GONE, requestOf()).catch(() => undefined);
	await expect.poll(keysLeft).not.toEqual([]);
	const before = (await keysLeft()).sort();
	await redis.zadd(NODE_QUEUES, Date.now() - 61_000, GONE);
	const patient = reaper("gw_one", 60_000);
	await patient.look();
	await patient.look();
	const one = reaper("gw_one");
	await one.look();
	await redis.set(nodeLeaseOf(GONE), "{}");
	await one.look();
	// It is begun anew.
	await redis.del(nodeLeaseOf(GONE));
	await one.look();
	redis.disconnect(true);
	await once(redis, "ready");
	await one.look();
	expect((await keysLeft()).sort()).toEqual(before);
	await one.look();
	expect(await keysLeft()).toEqual([]);
});

test("what a worker has is left to it for as long as it holds the lock, and who has taken a mark keeps it", async () => {
	const gateway = await lanes.gateway();
	const [held, placed] = [requestOf(), requestOf()];
	const answer = gateway.run(GONE, held);
	answer.catch(() => undefined);
	await expect.poll(keysLeft).not.toEqual([]);
	const base = `berth:q:i-${GONE}:`;
	const job = (await redis.lmove(`${base}wait`, `${base}active`, "RIGHT", "LEFT")) as string;
	await redis.hset(base + job, { ats: 1, data: JSON.stringify({ replyTo: "nobody", requests: [held, placed] }) });
	await redis.set(`${base}${job}:lock`, "a worker's");
	await redis.hset(unbegunOf(job), placed.id, "gw_other");
	await redis.zadd(NODE_QUEUES, Date.now(), GONE);
	const one = reaper("gw_one");
	await one.look();
	await one.look();
	expect(await redis.lrange(`${base}active`, 0, -1)).toEqual([job]);
	expect(await gateway.record(held.id)).toBeUndefined();
	await redis.del(`${base}${job}:lock`);
	await one.look();
	expect(await keysLeft()).toEqual([]);
	expect(await gateway.record(held.id)).toMatchObject({ last: { code: "worker_lost" } });
	expect(await gateway.record(placed.id)).toBeUndefined();
	expect(await redis.hgetall(unbegunOf(job))).toEqual({ [placed.id]: "gw_other" });
});
