import { once } from "node:events";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { closeRedis, openRedis, type Redis, type RedisUse } from "./connection.js";
import { Subscription } from "./subscription.js";
import { RedisServer } from "./testing/redis-server.js";
import { SentinelPair } from "./testing/sentinel-pair.js";

const opened: Redis[] = [];
afterEach(async () => void (await Promise.all(opened.splice(0).map(closeRedis))));

async function open(url: string, use: RedisUse, log?: Parameters<typeof openRedis>[0][0]["log"]): Promise<Redis> {
	const [redis] = await openRedis([{ url, use, name: "test", log }]);
	opened.push(redis);
	return redis;
}

describe("a server of one's own", () => {
	let server: RedisServer;
	beforeAll(async () => {
		server = await RedisServer.start();
	});
	afterEach(async () => {
		server.resume();
		if (!server.running) await server.start();
	});
	afterAll(() => server[Symbol.asyncDispose]());

	test("that many connections lose is one line, and one when all have it back", async () => {
		const lines: string[] = [];
		const note = (_: object, text: string) => void lines.push(text);
		const log = { debug: () => undefined, info: note, warn: note };
		const all = await Promise.all([
			open(server.url, "command", log),
			open(server.url, "patient", log),
			open(server.url, "subscriber", log),
		]);
		// Each has tried in vain: one that tries when the server is there again has nothing to tell.
		const failed = Promise.all(all.map((redis) => once(redis, "error")));
		await server.kill();
		await failed;
		await server.start();
		await expect.poll(() => lines).toEqual(["Redis can't be reached", "Redis is back"]);
	});

	test.each(["command", "patient", "subscriber"] as const)("that says nothing has a %s connection made anew", async (use) => {
		const redis = await open(server.url, use);
		server.freeze();
		// Nobody asks on one that listens: it finds out by itself.
		const asked = use === "subscriber" ? undefined : redis.ping().catch((error: Error) => error.message);
		await expect.poll(() => redis.status, { timeout: 10_000 }).not.toBe("ready");
		server.resume();
		await expect.poll(() => redis.status, { timeout: 10_000 }).toBe("ready");
		if (use === "command") expect(await asked).toBe("Command timed out");
		if (use === "patient") expect(await asked).toBe("PONG");
	});

	test("that is away is owed 10,000 commands at most", async () => {
		const redis = await open(server.url, "patient");
		await server.kill();
		await expect.poll(() => redis.status).not.toBe("ready");
		const asked = Array.from({ length: 10_100 }, () => redis.ping().catch((error: Error) => error.message));
		await server.start();
		const answers = await Promise.all(asked);
		expect(answers.filter((answer) => answer === "PONG")).toHaveLength(10_000);
		expect(answers.at(-1)).toMatch(/^10000 commands wait for Redis/);
	});

	test("that becomes a replica is asked on a new connection, whose name may lead elsewhere, and works when it is a master again", async () => {
		const redis = await open(server.url, "command");
		const id = await redis.client("ID");
		await redis.call("REPLICAOF", "127.0.0.1", "1");
		await expect(redis.set("a", "1")).rejects.toThrow(/^READONLY/);
		// A connection answers CLIENT before it is ready for anything else.
		await expect.poll(async () => (redis.status === "ready" ? redis.client("ID").catch(() => id) : id)).not.toBe(id);
		await redis.call("REPLICAOF", "NO", "ONE");
		expect(await redis.set("a", "1")).toBe("OK");
	});
});

test("a failover that is told while a connection is being made doesn't end it for good, nor one that BullMQ makes of it", async () => {
	await using pair = await SentinelPair.start();
	const redis = await open(pair.url, "command");
	const blocking = redis.duplicate();
	opened.push(blocking);
	for (const one of [redis, blocking]) {
		await expect.poll(() => one.status).toBe("ready");
		const { connector } = one as unknown as { readonly connector: { disconnect(): void } };
		const ends = () => new Promise<void>((resolve) => one.once("end", () => resolve()));
		const ended = ends();
		// What ioredis does when it is told.
		one.once("connecting", () => connector.disconnect());
		one.disconnect(true);
		await ended;
		await expect.poll(() => one.status).toBe("ready");
		const over = ends();
		await closeRedis(one);
		await over;
		expect(one.status).toBe("end");
	}
}, 20_000);

test("Sentinels lead every connection to the new master, when the old one says nothing", async () => {
	await using pair = await SentinelPair.start();
	const command = await open(pair.url, "command");
	const patient = await open(pair.url, "patient");
	const heard: string[] = [];
	const subscription = new Subscription(await open(pair.url, "subscriber"), ["news"], { onMessage: (text) => void heard.push(text) });
	await subscription.listening;
	await command.set("before", "kept");
	expect(await command.wait(1, 5000)).toBe(1);
	pair.first.freeze();
	const waits = patient.set("during", "kept");
	await expect.poll(() => command.set("after", "1").catch(() => "refused"), { timeout: 15_000 }).toBe("OK");
	expect(await waits).toBe("OK");
	await pair.second.client(async (redis) => expect(await redis.mget("before", "during", "after")).toEqual(["kept", "kept", "1"]));
	await expect
		.poll(
			async () => {
				await command.publish("news", "one");
				return heard.length;
			},
			{ timeout: 10_000 },
		)
		.toBeGreaterThan(0);
}, 40_000);
