import { closeRedis, openRedis, type Redis } from "@berth/redis";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, beforeAll, expect, test } from "vitest";
import { ApiKeys } from "./api-keys.js";
import { CallbackSecrets } from "./callback-secrets.js";
import { keys } from "./keys.js";
import { PackageRegistries } from "./package-registries.js";
import { resealAll } from "./resealing.js";
import { Secrets } from "./secrets.js";
import { Vault } from "./vault.js";

const [OLD, NEW, OTHER] = ["ab", "cd", "ef"].map((digits) => digits.repeat(32)) as [string, string, string];
const HOOK = "0".repeat(40);

let server: RedisServer;
let redis: Redis;
beforeAll(async () => {
	server = await RedisServer.start();
	[redis] = await openRedis([{ url: server.url, use: "command", name: "test" }]);
});
afterAll(async () => {
	await closeRedis(redis);
	await server[Symbol.asyncDispose]();
});

/** What a stack with these keys reads of all that is sealed. */
async function read(...sealing: readonly string[]) {
	const vault = new Vault(...sealing);
	const [secrets, logins, callbacks] = [
		await Secrets.open(server.url, vault),
		await PackageRegistries.open(server.url, vault),
		await CallbackSecrets.open(server.url, vault),
	];
	try {
		const [login] = await logins.accesses("two");
		const { current } = JSON.parse((await redis.hget(keys.hook(HOOK), "secrets")) as string) as { current: { sealed: string } };
		return {
			secrets: (await secrets.values("default", ["A", "B"])).map(({ value, revision }) => [value, revision]),
			login: login?.authorization?.(),
			callback: (await callbacks.get("default")).secret,
			hook: vault.open(current.sealed, `default/hook/${HOOK}`),
		};
	} finally {
		await Promise.all([secrets.close(), logins.close(), callbacks.close()]);
	}
}

test("with a new key in front everything is sealed anew, once, and the old key isn't needed after; what no key opens is named", async () => {
	const old = new Vault(OLD);
	const [apiKeys, secrets, logins] = [
		await ApiKeys.open(server.url),
		await Secrets.open(server.url, old),
		await PackageRegistries.open(server.url, old),
	];
	await apiKeys.projects.make("two");
	await secrets.set("default", "A", "value of A");
	await secrets.set("default", "B", "value of B");
	await logins.set("two", "npm.example.com", { scopes: [], token: "npm_token" });
	await redis.sadd(keys.names("default"), "f");
	await redis.hset(keys.hooks("default", "f"), "stripe", HOOK);
	await redis.hset(
		keys.hook(HOOK),
		"secrets",
		JSON.stringify({ current: { sealed: old.seal("whsec", `default/hook/${HOOK}`), setAt: "" } }),
	);
	const before = await read(OLD);
	await expect(read(NEW)).rejects.toMatchObject({ code: "platform_error" });

	// One was cut short: what it did stays done.
	const both = new Vault(NEW, OLD);
	const field = JSON.parse((await redis.hget(keys.secrets("default"), "A")) as string) as { sealed: string };
	await redis.hset(keys.secrets("default"), "A", JSON.stringify({ ...field, sealed: both.resealed(field.sealed, "default/secret/A") }));
	expect(await read(NEW, OLD)).toEqual(before);

	expect(await resealAll(server.url, both)).toEqual({ records: 4, lost: [] });
	const told = await redis.hgetall(keys.resealed);
	expect(told).toEqual({ at: expect.stringMatching(/^\d{4}-.*Z$/), records: "4" });
	expect(await read(NEW)).toEqual(before);
	expect(await resealAll(server.url, both)).toEqual({ records: 0, lost: [] });
	expect(await redis.hgetall(keys.resealed)).toEqual(told);
	expect(await resealAll(server.url, new Vault(OTHER))).toEqual({
		records: 0,
		lost: ["default/callback-secret", `default/hook/${HOOK}`, "default/secret/A", "default/secret/B", "two/registry/npm.example.com"],
	});
	expect(await read(NEW)).toEqual(before);
	await Promise.all([apiKeys.close(), secrets.close(), logins.close()]);
});
