import { type Digest, manifestSchema, type Version } from "@berth/contracts";
import { closeRedis, openRedis, type Redis } from "@berth/redis";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { ApiKeys } from "./api-keys.js";
import type { BuildEnd } from "./build-states.js";
import { FunctionRegistry } from "./function-registry.js";
import { keys } from "./keys.js";
import { Secrets } from "./secrets.js";
import { Vault } from "./vault.js";

const [OLD, NEW] = ["a", "b"].map((letter) => `sha256:${letter.repeat(64)}`) as [Digest, Digest];
const BUILD = { durationMs: 1, phases: {}, layers: [], warnings: [] };
const IMAGE = { digest: OLD, base: { digest: OLD, layers: [] }, layers: [], entry: "index.js" };
const READY: BuildEnd = { state: "ready", image: IMAGE, build: BUILD };
const FAILED: BuildEnd = {
	state: "failed",
	failure: { code: "build_failed", phase: "bundle", message: "no", diagnostics: [] },
	build: BUILD,
};
const WITH = manifestSchema.parse({
	secrets: ["KEY", { name: "SENT", host: "api.example.com", header: "authorization" }],
	volumes: [{ name: "data" }],
	network: { join: "shop" },
});

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
	secrets = await Secrets.open(server.url, new Vault("ab".repeat(32)));
	for (const name of ["KEY", "SENT", "FREE"]) await secrets.set("p", name, "value");
	await registry.volumes.begin("p", "data", { sizeMiB: 16, node: "node_1" });
	await registry.volumes.made("p", "data");
	await registry.networks.make("p", "shop");
});
afterEach(async () => {
	await Promise.all([registry.close(), secrets.close()]);
	await server.empty();
});
afterAll(async () => {
	await closeRedis(redis);
	await server[Symbol.asyncDispose]();
});

const source = (letter: string) => ({ digest: `sha256:${letter.repeat(64)}` as Digest, kind: "file", sizeBytes: 1 }) as const;
const deploy = async (name: string, letter: string, manifest = WITH): Promise<Version> =>
	(await registry.createVersion("p", name, manifest, source(letter))).version;

/** Removes everything that `WITH` names. @returns the functions that are in the way, of each one that is refused; none when all of it is gone */
async function removeAll(): Promise<readonly unknown[]> {
	const inTheWay: unknown[] = [];
	for (const remove of [
		() => secrets.remove("p", "KEY"),
		() => secrets.remove("p", "SENT"),
		() => registry.volumes.beginRemoval("p", "data"),
		() => registry.networks.remove("p", "shop"),
	])
		await remove().catch((error: { readonly code: string; readonly extra: { readonly functions: unknown } }) => {
			expect(error.code).toMatch(/_in_use$/);
			inTheWay.push(error.extra.functions);
		});
	return inTheWay;
}
const by = (...functions: readonly string[]) => [functions, functions, functions, functions];
const indexed = async () => (await redis.keys("{berth}:users:*")).length;

test("what a version names isn't removed while it waits, is built, and when it is ready; a failed one has nothing", async () => {
	const version = await deploy("f", "1");
	expect(await removeAll()).toEqual(by("f"));
	await registry.endBuild(await deploy("g", "1"), READY);
	await registry.endBuild(version, FAILED);
	expect(await removeAll()).toEqual(by("g"));
	await registry.deleteFunction("p", "g");
	expect(await removeAll()).toEqual([]);
	expect(await indexed()).toBe(0);
});

test("one that is removed lets go, the one that was made of it for another base doesn't, nor one that was built elsewhere", async () => {
	await registry.rebases.announce({ node24: NEW });
	await registry.endBuild(await deploy("f", "1"), READY);
	const [rebased] = await registry.rebases.create("p", "f");
	await registry.endBuild(rebased as Version, { ...READY, image: { ...IMAGE, base: { digest: NEW, layers: [] } } });
	const brought = { project: "p", function: "brought", number: 7, manifest: WITH, source: source("2"), createdAt: "2026" };
	await registry.importVersion(brought, IMAGE, BUILD);
	await registry.removeVersion("p", "f", 1);
	expect(await removeAll()).toEqual(by("brought", "f"));
	await registry.endBuild(await deploy("f", "3", manifestSchema.parse({})), READY);
	await registry.removeVersion("p", "f", 2);
	expect(await removeAll()).toEqual(by("brought"));
	await registry.deleteFunction("p", "brought");
	expect(await removeAll()).toEqual([]);
	expect(await indexed()).toBe(0);
});

test("records from before there was an index are counted when something is removed first, and none is read after that", async () => {
	await deploy("f", "1");
	await registry.endBuild(await deploy("failed", "1"), FAILED);
	await redis.del(keys.countedProjects, ...(await redis.keys("{berth}:users:*")));
	expect(await removeAll()).toEqual(by("f"));
	await redis.call("CONFIG", "RESETSTAT");
	await secrets.remove("p", "FREE");
	const stats = await redis.info("commandstats");
	expect(stats).toMatch(/cmdstat_smembers/);
	expect(stats).not.toMatch(/cmdstat_(?:hmget|zrange)/);
});

test("what an older release deployed after the count isn't removed: a volume at no time, nothing once a gateway has started again", async () => {
	await secrets.remove("p", "FREE");
	await deploy("f", "1");
	const asBefore = async () => await redis.del(...(await redis.keys("{berth}:users:p/*")));
	await asBefore();
	await expect(registry.volumes.beginRemoval("p", "data")).rejects.toMatchObject({ code: "volume_in_use", extra: { functions: ["f"] } });
	await asBefore();
	await registry.countAnew();
	expect(await removeAll()).toEqual(by("f"));
});

test("what an older release removed keeps nothing", async () => {
	await deploy("f", "1");
	expect(await removeAll()).toEqual(by("f"));
	await registry.endBuild(await deploy("g", "2"), READY);
	await redis.del(keys.version("p", "f", 1));
	expect(await removeAll()).toEqual(by("g"));
	await redis.del(keys.version("p", "g", 1));
	expect(await removeAll()).toEqual([]);
	expect(await indexed()).toBe(0);
});

test("another project's are none of it, and a project takes along that it was counted", async () => {
	const apiKeys = await ApiKeys.open(server.url);
	await apiKeys.projects.make("other");
	await secrets.set("other", "KEY", "value");
	await deploy("f", "1");
	await secrets.remove("other", "KEY");
	expect(await redis.smembers(keys.countedProjects)).toEqual(["other"]);
	await apiKeys.projects.remove("other");
	expect(await redis.exists(keys.countedProjects)).toBe(0);
	await apiKeys.close();
});
