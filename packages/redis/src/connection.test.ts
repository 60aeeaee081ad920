import { BerthError } from "@berth/contracts";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { addressOf } from "./address.js";
import { guarded, untilReady } from "./availability.js";
import { closeRedis, openRedis, type Redis } from "./connection.js";
import { LuaScript } from "./lua-script.js";
import { Subscription } from "./subscription.js";
import { RedisServer } from "./testing/redis-server.js";

let server: RedisServer;
const opened: Redis[] = [];

beforeAll(async () => {
	server = await RedisServer.start();
});
afterEach(async () => {
	server.resume();
	await Promise.all(opened.splice(0).map(closeRedis));
	if (!server.running) await server.start();
});
afterAll(() => server[Symbol.asyncDispose]());

async function open(use: "command" | "patient" | "subscriber", log?: Parameters<typeof openRedis>[0][0]["log"]): Promise<Redis> {
	const [redis] = await openRedis([{ url: server.url, use, name: "test", log }]);
	opened.push(redis);
	return redis;
}

describe("addresses", () => {
	test.each([
		["redis://localhost", { host: "localhost", port: 6379, db: 0 }],
		["redis://u:p%40ss@10.0.0.1:7000/3", { host: "10.0.0.1", port: 7000, db: 3, username: "u", password: "p@ss" }],
		["redis://[::1]:7000", { host: "::1", port: 7000, db: 0 }],
		["rediss://:secret@redis.example", { host: "redis.example", port: 6379, db: 0, password: "secret", tls: {} }],
		["unix:///run/a%20b/redis.sock?db=2", { path: "/run/a b/redis.sock", db: 2 }],
		[
			"redis+sentinel://a,[::1]:7000/m/2",
			{
				sentinels: [
					{ host: "a", port: 26379 },
					{ host: "::1", port: 7000 },
				],
				name: "m",
				db: 2,
				role: "master",
			},
		],
		["rediss+sentinel://u:p%40ss@a/m", { username: "u", password: "p@ss", db: 0, enableTLSForSentinelMode: true }],
	])("%s", (url, expected) => expect(addressOf(url)).toMatchObject(expected));

	test.each(["http://localhost", "redis://localhost/x", "unix:///a?db=-1", "redis+sentinel://a:b/m", "redis+sentinel://a"])(
		"%s is refused",
		(url) => {
			expect(() => addressOf(url)).toThrow(TypeError);
		},
	);

	test("a refusal doesn't show the password", () => {
		expect(() => addressOf("amqp://user:secret@host")).toThrow(/^amqp:\/\/host /);
	});
});

test("a start that can't reach its server says which and why, and leaves no connection open", async () => {
	const bad = { url: "unix:///nowhere/redis.sock", use: "command", name: "bad" } as const;
	const good = { url: server.url, use: "patient", name: "good" } as const;
	await expect(openRedis([good, bad], 1000)).rejects.toThrow(/no Redis at unix:\/\/\/nowhere\/redis.sock within 1 s: .*ENOENT/);
	const watcher = await open("command");
	await expect.poll(() => watcher.client("LIST")).not.toContain("berth-good");
});

test("a command of somebody who waits fails as unavailable while the server is away, and works when it is back", async () => {
	const redis = await open("command");
	await server.kill();
	const failed = await guarded(redis, "greeting", () => redis.ping()).catch((error: unknown) => error);
	expect(failed).toBeInstanceOf(BerthError);
	expect(failed).toMatchObject({ code: "unavailable", message: expect.stringContaining("greeting") });
	await server.start();
	expect(await untilReady(redis, 5000)).toBe(true);
	expect(await guarded(redis, "greeting", () => redis.ping())).toBe("PONG");
});

test("a server that hangs is unavailable as well", async () => {
	const redis = await open("command");
	server.freeze();
	await expect(guarded(redis, "greeting", () => redis.ping())).rejects.toMatchObject({ code: "unavailable" });
});

test("what a server refuses, and one that is away, are told apart, by what it is to Berth and without its address", async () => {
	const [redis] = await openRedis([{ url: server.url, use: "command", name: "test", serves: "fast" }]);
	opened.push(redis);
	const script = new LuaScript('return redis.call("SET", "a", "1")');
	const said = async (work: () => Promise<unknown>) => {
		const error = await guarded(redis, "greeting", work).catch((failure: unknown) => failure);
		expect(error).toMatchObject({ code: "unavailable" });
		return (error as BerthError).message;
	};
	await redis.config("SET", "min-replicas-to-write", "1");
	expect(await said(() => redis.set("a", "1"))).toMatch(/^greeting: the fast Redis takes no writes while it has fewer replicas/);
	await redis.config("SET", "min-replicas-to-write", "0");
	await redis.call("REPLICAOF", "127.0.0.1", "1");
	const readOnly = await said(() => script.run(redis, [], []));
	expect(readOnly).toMatch(/^greeting: the fast Redis is a replica, and takes no writes \(READONLY\)/);
	expect(readOnly).not.toMatch(/answer|again|script|127/);
	await server.client((other) => other.call("REPLICAOF", "NO", "ONE"));
	await server.kill();
	const away = await said(() => redis.ping());
	expect(away).toMatch(/^greeting: the fast Redis doesn't answer.*; try again$/);
	expect(away).not.toMatch(/sock|maxRetries/);
});

test("errors of ours pass as they are", async () => {
	const redis = await open("command");
	const refusal = () => Promise.reject(new BerthError("not_found", "nothing there"));
	await expect(guarded(redis, "looking", refusal)).rejects.toMatchObject({ code: "not_found" });
});

test("a patient command waits for the server", async () => {
	const redis = await open("patient");
	await server.kill();
	const pong = redis.ping();
	await server.start();
	expect(await pong).toBe("PONG");
});

test("an outage is two lines in the log", async () => {
	const lines: string[] = [];
	const note = (_: object, text: string) => void lines.push(text);
	const redis = await open("patient", { debug: () => undefined, info: note, warn: note });
	await server.kill();
	await expect.poll(() => lines).toEqual(["Redis can't be reached"]);
	await server.start();
	await redis.ping();
	await expect.poll(() => lines).toEqual(["Redis can't be reached", "Redis is back"]);
});

test("a subscription survives the server, and says that it missed something", async () => {
	const heard: string[] = [];
	let resumed = 0;
	const subscriber = await open("subscriber");
	const events = { onMessage: (text: string) => void heard.push(text), onResumed: () => resumed++ };
	const subscription = new Subscription(subscriber, ["news"], events);
	await subscription.listening;
	const publisher = await open("patient");
	await publisher.publish("news", "one");
	await expect.poll(() => heard).toEqual(["one"]);
	await server.kill();
	await server.start();
	await expect.poll(() => resumed).toBe(1);
	await publisher.publish("news", "two");
	await expect.poll(() => heard).toEqual(["one", "two"]);
});
