import { createHash } from "node:crypto";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { ApiKeys } from "./api-keys.js";

let server: RedisServer;
const opened: ApiKeys[] = [];
beforeAll(async () => {
	server = await RedisServer.start();
});
afterEach(async () => {
	if (!server.running) await server.start();
	await Promise.all(opened.splice(0).map((one) => one.close()));
	await server.empty();
});
afterAll(() => server[Symbol.asyncDispose]());

async function open(): Promise<ApiKeys> {
	const keys = await ApiKeys.open(server.url);
	opened.push(keys);
	return keys;
}

const digestOf = (key: string) => createHash("sha256").update(key).digest("hex");
const keyOf = (letter: string) => `berth_${letter.repeat(43)}`;

test("the first key is made once, however many gateways start, and lets its holder in", async () => {
	const all = await Promise.all(Array.from({ length: 5 }, open));
	const made = (await Promise.all(all.map((keys) => keys.ensureFirst()))).filter((key) => key !== undefined);
	expect(made).toHaveLength(1);
	const [key = ""] = made;
	expect(key).toMatch(/^berth_[\w-]{43}$/);
	expect(await all[1]?.verify(key)).toEqual({ project: "default" });
});

test("a key is stored as its hash only", async () => {
	const keys = await open();
	const key = (await keys.ensureFirst()) ?? "";
	const dump = await server.client(async (redis) => JSON.stringify([await redis.hgetall("{berth}:api-keys"), await redis.keys("*")]));
	expect(dump).not.toContain(key.slice("berth_".length));
	expect(dump).toContain(digestOf(key));
});

test.each(["", "berth_", keyOf("x"), `${keyOf("x")}y`, "first", "__proto__", keyOf("é")])("%j lets nobody in", async (token) => {
	const keys = await open();
	await keys.ensureFirst();
	expect(await keys.verify(token)).toBeUndefined();
});

test("an operator's key is let in, and the next one takes its place: a lost key is replaced", async () => {
	const keys = await open();
	await keys.ensureAdmin(digestOf(keyOf("a")));
	await keys.ensureAdmin(digestOf(keyOf("a")));
	expect(await keys.verify(keyOf("a"))).toEqual({ project: "default" });
	await keys.ensureAdmin(digestOf(keyOf("b")));
	const later = await open();
	expect([await later.verify(keyOf("a")), await later.verify(keyOf("b"))]).toEqual([undefined, { project: "default" }]);
});

test("while Redis is away a key that was good is believed for a while, and another is unavailable", async () => {
	const keys = await open();
	const key = (await keys.ensureFirst()) ?? "";
	await keys.verify(key);
	await server.kill();
	expect(await keys.verify(key)).toEqual({ project: "default" });
	await expect(keys.verify(keyOf("x"))).rejects.toMatchObject({ code: "unavailable" });
});
