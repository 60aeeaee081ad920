import { type Digest, manifestSchema, SECRET_LIMITS } from "@berth/contracts";
import { closeRedis, openRedis, type Redis } from "@berth/redis";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { ApiKeys } from "./api-keys.js";
import { FunctionRegistry } from "./function-registry.js";
import { SecretChanges, Secrets } from "./secrets.js";
import { Vault } from "./vault.js";

const KEY = "ab".repeat(32);
const SOURCE = { digest: `sha256:${"a".repeat(64)}` as Digest, kind: "file", sizeBytes: 1 } as const;
const WITH = manifestSchema.parse({ secrets: ["ONE", "TWO"] });

let server: RedisServer;
let registry: FunctionRegistry;
let secrets: Secrets;
let redis: Redis;
beforeAll(async () => {
	server = await RedisServer.start();
	[redis] = await openRedis([{ url: server.url, use: "command", name: "test" }]);
});
beforeEach(async () => {
	registry = await FunctionRegistry.open(server.url);
	secrets = await Secrets.open(server.url, new Vault(KEY));
});
afterEach(async () => {
	await Promise.all([registry.close(), secrets.close()]);
	await server.empty();
});
afterAll(async () => {
	await closeRedis(redis);
	await server[Symbol.asyncDispose]();
});

/** All that the server holds of secrets, as text. */
async function everything(): Promise<string> {
	return JSON.stringify(await Promise.all((await redis.keys("*secrets*")).map((key) => redis.hgetall(key))));
}

test("a value is sealed where it is stored, opened by its project and name alone, and never listed", async () => {
	await secrets.set("one", "ONE", "sk_live_value");
	expect(await everything()).not.toContain("sk_live");
	expect((await secrets.values("one", ["ONE"])).map(({ value }) => value)).toEqual(["sk_live_value"]);
	expect(Object.keys((await secrets.list("one"))[0] ?? {}).sort()).toEqual(["bindings", "createdAt", "functions", "name", "updatedAt"]);
	await expect(secrets.values("other", ["ONE"])).rejects.toMatchObject({ code: "secret_unavailable" });
});

test("a sealed value that is put in the place of another project's isn't opened", async () => {
	await secrets.set("one", "ONE", "value of one");
	await secrets.set("two", "ONE", "value of two");
	await redis.hset("{berth}:secrets:two", "ONE", (await redis.hget("{berth}:secrets:one", "ONE")) as string);
	await expect(secrets.values("two", ["ONE"])).rejects.toMatchObject({ code: "platform_error", message: /damaged/ });
});

test("another value is another revision, and says so to whoever listens; when it was made stays", async () => {
	const news: (string | undefined)[] = [];
	const changes = await SecretChanges.open(server.url, (project) => news.push(project));
	const first = await secrets.set("one", "ONE", "first");
	const [before] = await secrets.values("one", ["ONE"]);
	const second = await secrets.set("one", "ONE", "second");
	const [after] = await secrets.values("one", ["ONE"]);
	expect([first.isNew, second.isNew, second.createdAt]).toEqual([true, false, first.createdAt]);
	expect([before?.value, after?.value]).toEqual(["first", "second"]);
	expect(after?.revision).not.toBe(before?.revision);
	await expect.poll(() => news).toEqual(["one", "one"]);
	await changes.close();
});

test("a deploy that names one that isn't there is refused, and says which; one that a version has stays until that is gone", async () => {
	await secrets.set("one", "ONE", "value");
	await expect(registry.createVersion("one", "f", WITH, SOURCE)).rejects.toMatchObject({
		code: "secret_not_found",
		issues: [{ field: "secrets.1", message: /there is no secret TWO/ }],
	});
	await secrets.set("one", "TWO", "value");
	await registry.createVersion("one", "f", WITH, SOURCE);
	expect((await secrets.list("one")).map(({ name, functions }) => [name, functions])).toEqual([
		["ONE", ["f"]],
		["TWO", ["f"]],
	]);
	await expect(secrets.remove("one", "ONE")).rejects.toMatchObject({ code: "secret_in_use", extra: { functions: ["f"] } });
	await registry.deleteFunction("one", "f");
	await secrets.remove("one", "ONE");
	await expect(secrets.remove("one", "ONE")).rejects.toMatchObject({ code: "secret_not_found" });
});

test("another key doesn't open it, and what is said names it and what to do, and blames no caller", async () => {
	await secrets.set("one", "ONE", "value");
	const other = await Secrets.open(server.url, new Vault("cd".repeat(32)));
	await expect(other.values("one", ["ONE"])).rejects.toMatchObject({ code: "platform_error", message: /ONE.*BERTH_SECRETS_KEY/ });
	await other.close();
});

test("a project has so many, may replace those, and takes them along when it is removed", async () => {
	const keys = await ApiKeys.open(server.url);
	await keys.projects.make("full");
	for (let at = 0; at < SECRET_LIMITS.count; at++) await secrets.set("full", `S${at}`, "value");
	await expect(secrets.set("full", "ONE_MORE", "value")).rejects.toMatchObject({ code: "invalid_request" });
	await secrets.set("full", "S0", "another");
	await keys.projects.remove("full");
	expect(await everything()).toBe("[]");
	await expect(secrets.set("full", "S0", "value")).rejects.toMatchObject({ code: "project_not_found" });
	await keys.close();
});

test("of a function with more versions than are read at once every one counts, and a failed one doesn't", async () => {
	await secrets.set("default", "OLD", "v");
	await secrets.set("default", "NONE", "v");
	await redis.sadd("{berth}:functions:default", "f");
	for (let number = 1; number <= 120; number++) {
		await redis.zadd("{berth}:numbers:default/f", number, `${number}`);
		const manifest = { secrets: number === 1 || number === 120 ? ["OLD"] : number === 60 ? ["NONE"] : [] };
		const state = number === 60 ? "failed" : "ready";
		await redis.hset(`{berth}:version:default/f:${number}`, "base", JSON.stringify({ manifest }), "state", state);
	}
	expect((await secrets.list("default")).map(({ name, functions }) => [name, functions])).toEqual([
		["NONE", []],
		["OLD", ["f"]],
	]);
	await expect(secrets.remove("default", "OLD")).rejects.toMatchObject({ code: "secret_in_use", extra: { functions: ["f"] } });
	await secrets.remove("default", "NONE");
});
