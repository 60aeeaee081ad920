import { createHash } from "node:crypto";
import { KEY_LIFE_MS, MOST_KEYS } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
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
	for (const project of ["shop", "other"]) await keys.projects.make(project);
	return keys;
}

const digestOf = (key: string) => createHash("sha256").update(key).digest("hex");
const OPERATOR = { project: undefined, scopes: ["admin"] };
const keyOf = (letter: string) => `berth_${letter.repeat(43)}`;

test("the first key is made once, however many gateways start, and lets its holder in", async () => {
	const all = await Promise.all(Array.from({ length: 5 }, open));
	const made = (await Promise.all(all.map((keys) => keys.ensureFirst()))).filter((key) => key !== undefined);
	expect(made).toHaveLength(1);
	const [key = ""] = made;
	expect(key).toMatch(/^berth_[\w-]{43}$/);
	expect(await all[1]?.verify(key)).toMatchObject(OPERATOR);
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
	expect(await keys.verify(keyOf("a"))).toMatchObject(OPERATOR);
	await keys.ensureAdmin(digestOf(keyOf("b")));
	const later = await open();
	expect(await later.verify(keyOf("a"))).toBeUndefined();
	expect(await later.verify(keyOf("b"))).toMatchObject(OPERATOR);
});

test("while Redis is away a key that was good is believed for a while, and another is unavailable", async () => {
	const keys = await open();
	const key = (await keys.ensureFirst()) ?? "";
	await keys.verify(key);
	await server.kill();
	expect(await keys.verify(key)).toMatchObject(OPERATOR);
	await expect(keys.verify(keyOf("x"))).rejects.toMatchObject({ code: "unavailable" });
});

test("a key of a project has what it was made with, and its token is stored as its hash only", async () => {
	const keys = await open();
	const { key, ...made } = await keys.create("shop", { name: "ci", scopes: ["deploy", "read"] });
	expect(made).toMatchObject({ name: "ci", project: "shop", scopes: ["read", "deploy"] });
	expect(await keys.verify(key)).toMatchObject({ id: made.id, name: "ci", project: "shop", scopes: ["read", "deploy"] });
	expect(await keys.list("shop")).toEqual([made]);
	expect(await keys.list("other")).toEqual([]);
	const dump = await server.client(async (redis) => JSON.stringify([await redis.hgetall("{berth}:api-keys"), await redis.keys("*")]));
	expect(dump).not.toContain(key.slice("berth_".length));
});

test("a name is taken once in a project, and there is an end to how many keys it has", async () => {
	const keys = await open();
	await Promise.all(Array.from({ length: MOST_KEYS }, (_, i) => keys.create("shop", { name: `k${i}`, scopes: ["read"] })));
	await expect(keys.create("shop", { name: "k1", scopes: ["read"] })).rejects.toMatchObject({ code: "key_exists" });
	await expect(keys.create("shop", { name: "more", scopes: ["read"] })).rejects.toMatchObject({ code: "invalid_request" });
	await keys.create("other", { name: "k1", scopes: ["read"] });
});

test("a revoked key lets nobody in any more, at a gateway that believed it as well", async () => {
	const [here, there] = [await open(), await open()];
	const { key } = await here.create("shop", { name: "ci", scopes: ["read"] });
	expect(await there.verify(key)).toBeDefined();
	await here.revoke("shop", "ci");
	expect(await here.verify(key)).toBeUndefined();
	// Without the news it would be believed for five seconds.
	await vi.waitUntil(async () => (await there.verify(key)) === undefined, { interval: 5, timeout: 4000 });
	expect(await here.list("shop")).toEqual([]);
	await expect(here.revoke("shop", "ci")).rejects.toMatchObject({ code: "key_not_found" });
});

test("news that came while the connection was away isn't missed", async () => {
	const [here, there] = [await open(), await open()];
	const { key } = await here.create("shop", { name: "ci", scopes: ["read"] });
	expect(await there.verify(key)).toBeDefined();
	await server.client((redis) => redis.call("CLIENT", "KILL", "TYPE", "pubsub"));
	await here.revoke("shop", "ci");
	await vi.waitUntil(async () => (await there.verify(key)) === undefined, { interval: 5, timeout: 4000 });
});

test("a key that has expired says so, also where it was believed a moment ago", async () => {
	const keys = await open();
	const { key, expiresAt = "" } = await keys.create("shop", { name: "ci", scopes: ["read"], expiresInMs: KEY_LIFE_MS.min });
	expect(await keys.verify(key)).toBeDefined();
	vi.useFakeTimers({ toFake: ["Date"], now: Date.parse(expiresAt) });
	try {
		await expect(keys.verify(key)).rejects.toMatchObject({ code: "unauthorized", message: expect.stringContaining(expiresAt) });
	} finally {
		vi.useRealTimers();
	}
});

test("with a project go its keys, and its name isn't taken again", async () => {
	const keys = await open();
	const { key } = await keys.create("shop", { name: "ci", scopes: ["read"] });
	expect([await keys.verify(key), await keys.projects.has("shop")]).toEqual([expect.anything(), true]);
	await keys.projects.remove("shop");
	await vi.waitUntil(async () => (await keys.verify(key)) === undefined, { interval: 5, timeout: 4000 });
	expect(await keys.projects.has("shop")).toBe(false);
	await expect(keys.create("shop", { name: "late", scopes: ["read"] })).rejects.toMatchObject({ code: "project_not_found" });
	await expect(keys.projects.make("shop")).rejects.toMatchObject({ code: "invalid_name" });
	expect((await keys.projects.list()).map(({ name }) => name)).toEqual(["default", "other"]);
});
