import { openRedis, SILENT } from "@berth/redis";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { crashLoopOf } from "./keys.js";
import { openCrashLoopRecords } from "./open.js";

let server: RedisServer;
beforeAll(async () => {
	server = await RedisServer.start();
});
afterAll(() => server?.[Symbol.asyncDispose]());

const OF = { project: "default", function: "crashes", version: 3 };
const LOOP = { crashes: 5, outcome: "crashed", error: "it ended", invocation: "inv_1", node: "node_a" } as const;

test("what one node found out others know, until it answers, and no longer than a node itself would", async () => {
	const [one, other] = [await openCrashLoopRecords({ fastUrl: server.url }), await openCrashLoopRecords({ fastUrl: server.url })];
	expect(await other.find(OF)).toBeUndefined();
	one.keep(OF, { ...LOOP, retryAfterMs: 60_000 });
	await expect.poll(() => other.find(OF)).toMatchObject(LOOP);
	const { retryAfterMs = 0 } = (await other.find(OF)) ?? {};
	expect(retryAfterMs).toBeGreaterThan(30_000);
	expect(retryAfterMs).toBeLessThanOrEqual(60_000);
	expect(await other.find({ ...OF, version: 4 })).toBeUndefined();
	const [redis] = await openRedis([{ url: server.url, use: "command", name: "test", log: SILENT }]);
	expect(await redis.pttl(crashLoopOf(OF))).toBeGreaterThan(0);
	redis.disconnect();
	other.forget(OF);
	await expect.poll(() => one.find(OF)).toBeUndefined();
	await Promise.all([one.close(), other.close()]);
});

test("while the Redis is away nothing is known, and nobody fails for it", async () => {
	const records = await openCrashLoopRecords({ fastUrl: server.url });
	await server.kill();
	records.keep(OF, { ...LOOP, retryAfterMs: 1 });
	expect(await records.find(OF)).toBeUndefined();
	await records.close();
});
