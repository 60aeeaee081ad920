import { RedisServer } from "@berth/redis/testing";
import { expect, test } from "vitest";
import { stackIdOf } from "./stack-id.js";

test("a durable Redis has one id, whoever asks first, also when it has no room or takes no writes any more; another one has another", async () => {
	await using one = await RedisServer.start("--maxmemory", "1mb");
	await using two = await RedisServer.start();
	const ids = await Promise.all([stackIdOf(one.url), stackIdOf(one.url), stackIdOf(two.url)]);
	expect(ids[0]).toMatch(/^[0-9a-f]{8}$/);
	expect(ids).toEqual([ids[0], ids[0], expect.not.stringMatching(ids[0] as string)]);
	await two.client((redis) => redis.call("REPLICAOF", "127.0.0.1", "1"));
	expect(await stackIdOf(two.url)).toBe(ids[2]);
});
