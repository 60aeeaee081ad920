import { openRedis, type Redis } from "@berth/redis";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { NODE_QUEUES, nodeLeaseOf, REAPER } from "./keys.js";
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

function reaper(gatewayId: string): NodeReaper {
	const made = new NodeReaper({ redis, gatewayId, log: LOG, timing: { everyMs: 60_000, leaseMs: 15_000, goneMs: 60_000 } });
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
	await redis.zadd(NODE_QUEUES, Date.now() - 61_000, GONE);
	await redis.set(REAPER, "gw_other", "PX", 60_000);
	const one = reaper("gw_one");
	await one.look();
	expect(await gateway.record(request.id)).toBeUndefined();
	// The other one died: its lease ends.
	await redis.del(REAPER);
	await one.look();
	await expect(answer).rejects.toMatchObject({ code: "expired_in_queue" });
	expect(await gateway.record(request.id)).toMatchObject({ last: { code: "expired_in_queue" } });
	expect(await keysLeft()).toEqual([]);
	expect(await redis.zrange(NODE_QUEUES, "0", "-1")).toEqual([]);
	expect(await redis.get(REAPER)).toBe("gw_one");
});

test("a node that is there, or was a moment ago, is left alone", async () => {
	const gateway = await lanes.gateway();
	gateway.run(GONE, requestOf()).catch(() => undefined);
	await expect.poll(keysLeft).not.toEqual([]);
	const before = (await keysLeft()).sort();
	await redis.zadd(NODE_QUEUES, Date.now() - 30_000, GONE);
	await reaper("gw_one").look();
	await redis.zadd(NODE_QUEUES, Date.now() - 61_000, GONE);
	await redis.set(nodeLeaseOf(GONE), "{}");
	await reaper("gw_one").look();
	expect((await keysLeft()).sort()).toEqual(before);
});
