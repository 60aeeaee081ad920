import { type Digest, type Manifest, manifestSchema, type SourceReference, type Version } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { AuditLog } from "./audit-log.js";
import type { BuildEnd } from "./build-states.js";
import { CallbackSecrets } from "./callback-secrets.js";
import { FunctionRegistry } from "./function-registry.js";
import { keys } from "./keys.js";
import { PackageRegistries } from "./package-registries.js";
import { Projects } from "./projects.js";
import { Secrets } from "./secrets.js";
import { Vault } from "./vault.js";

const REPORT = { durationMs: 1, phases: {}, layers: [], warnings: [] };
const DIGEST = `sha256:${"a".repeat(64)}` as const;
const READY: BuildEnd = {
	state: "ready",
	image: { digest: DIGEST, base: { digest: DIGEST, layers: [] }, layers: [], entry: "index.mjs" },
	build: REPORT,
};
const FAILED: BuildEnd = {
	state: "failed",
	failure: { code: "build_failed", phase: "bundle", message: "no", diagnostics: [] },
	build: REPORT,
};
const MANIFEST: Manifest = manifestSchema.parse({});

let server: RedisServer;
const opened: FunctionRegistry[] = [];
beforeAll(async () => {
	server = await RedisServer.start();
});
afterEach(async () => {
	if (!server.running) await server.start();
	await Promise.all(opened.splice(0).map((one) => one.close()));
	await server.empty();
});
afterAll(() => server[Symbol.asyncDispose]());

async function open(): Promise<FunctionRegistry> {
	const registry = await FunctionRegistry.open(server.url);
	opened.push(registry);
	return registry;
}

function sourceOf(letter: string): SourceReference {
	return { digest: `sha256:${letter.repeat(64)}`, kind: "file", filename: "index.ts", sizeBytes: 1 };
}

const create = async (registry: FunctionRegistry, letter = "1", name = "hello", manifest = MANIFEST): Promise<Version> =>
	(await registry.createVersion("default", name, manifest, sourceOf(letter))).version;

async function deploy(registry: FunctionRegistry, letter = "1", name = "hello"): Promise<Version> {
	const version = await create(registry, letter, name);
	await registry.setBuilding(version);
	expect(await registry.endBuild(version, READY)).toBe(true);
	return version;
}

describe("a function of which no version is ready", () => {
	test("says that it isn't while one is being built, though a later one failed", async () => {
		const registry = await open();
		const [first, second] = [await create(registry, "1"), await create(registry, "2")];
		await registry.endBuild(second, FAILED);
		await expect(registry.resolve("default", "hello")).rejects.toMatchObject({ code: "function_not_ready" });
		await registry.endBuild(first, FAILED);
		await expect(registry.resolve("default", "hello")).rejects.toMatchObject({
			code: "function_build_failed",
			message: expect.stringContaining(`version ${second.number} of hello couldn't be built: no`),
			extra: { version: second.number, failure: { code: "build_failed" } },
		});
	});

	test("answers once a later one is", async () => {
		const registry = await open();
		await registry.endBuild(await create(registry, "1"), FAILED);
		await expect(registry.resolve("default", "hello")).rejects.toMatchObject({ code: "function_build_failed" });
		const version = await deploy(registry, "2");
		expect(await registry.resolve("default", "hello")).toMatchObject({ number: version.number });
	});
});

describe("versions", () => {
	test("go from queued over building to ready, and the ready one is live", async () => {
		const registry = await open();
		const version = await create(registry);
		expect(version).toMatchObject({ number: 1, state: "queued", manifest: MANIFEST, source: sourceOf("1") });
		await expect(registry.resolve("default", "hello")).rejects.toMatchObject({ code: "function_not_ready" });
		expect(await registry.setBuilding(version)).toBe(true);
		expect(await registry.getVersion("default", "hello", 1)).toMatchObject({ state: "building" });
		await registry.endBuild(version, READY);
		expect(await registry.resolve("default", "hello")).toMatchObject({ number: 1, state: "ready", image: { entry: "index.mjs" } });
		expect(await registry.getFunction("default", "hello")).toMatchObject({ live: 1, latest: 1 });
	});

	test("that are final stay as they are; one whose worker died may be begun again", async () => {
		const registry = await open();
		const version = await create(registry);
		await registry.setBuilding(version);
		expect(await registry.setBuilding(version)).toBe(true);
		await registry.endBuild(version, FAILED);
		expect(await registry.endBuild(version, READY)).toBe(false);
		expect(await registry.setBuilding(version)).toBe(false);
		expect(await registry.getVersion("default", "hello", 1)).toMatchObject({ state: "failed", failure: { message: "no" } });
	});

	test("an older one that is built later doesn't become live", async () => {
		const registry = await open();
		const [old, young] = [await create(registry, "1"), await create(registry, "2")];
		await registry.endBuild(young, READY);
		await registry.endBuild(old, READY);
		expect(await registry.getFunction("default", "hello")).toMatchObject({ live: 2 });
	});

	test("a failed one leaves the one before it live, and isn't what the next deploy is compared with", async () => {
		const registry = await open();
		await deploy(registry, "1");
		const broken = await create(registry, "2");
		await registry.endBuild(broken, FAILED);
		expect(await registry.resolve("default", "hello")).toMatchObject({ number: 1 });
		expect(await registry.createVersion("default", "hello", MANIFEST, sourceOf("2"))).toMatchObject({
			unchanged: false,
			version: { number: 3 },
		});
		await registry.endBuild(await create(registry, "1"), READY);
		expect(await registry.createVersion("default", "hello", MANIFEST, sourceOf("1"))).toMatchObject({
			unchanged: true,
			version: { number: 4 },
		});
	});

	test("100 at once of two registries have 100 numbers", async () => {
		const registries = [await open(), await open()];
		const made = await Promise.all(
			Array.from({ length: 100 }, (_, i) =>
				create(registries[i % 2] as FunctionRegistry, "1", "racing", { ...MANIFEST, timeoutMs: 100 + i }),
			),
		);
		expect(made.map(({ number }) => number).sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i + 1));
		const listed = await registries[0]?.listVersions("default", "racing");
		expect(listed?.[0]?.number).toBe(100);
	});

	test("one that is damaged isn't what an equal deploy is taken for: it is built again", async () => {
		const registry = await open();
		await deploy(registry);
		const again = await registry.createVersion("default", "hello", MANIFEST, sourceOf("1"), { damaged: 1 });
		expect(again).toMatchObject({ unchanged: false, version: { number: 2, state: "queued" } });
		await registry.endBuild(again.version, READY);
		expect(await registry.createVersion("default", "hello", MANIFEST, sourceOf("1"), { damaged: 1 })).toMatchObject({
			unchanged: true,
			version: { number: 2 },
		});
	});

	test("equal settings in another order are the same", async () => {
		const registry = await open();
		await deploy(registry);
		const turned = Object.fromEntries(Object.entries(MANIFEST).reverse()) as Manifest;
		expect(await registry.createVersion("default", "hello", turned, sourceOf("1"))).toMatchObject({ unchanged: true });
	});
});

describe("what is live", () => {
	test("is known everywhere as soon as whoever waited for the build knows it", async () => {
		const registry = await open();
		await deploy(registry, "1");
		await registry.resolve("default", "hello");
		const next = await create(registry, "2");
		const waited = registry.waitForBuild(next, 5000);
		await (await open()).endBuild(next, READY);
		expect(await waited).toMatchObject({ state: "ready" });
		expect(await registry.resolve("default", "hello")).toMatchObject({ number: 2 });
	});

	test("reaches other gateways by news", async () => {
		const [here, there] = [await open(), await open()];
		await deploy(here, "1");
		expect(await there.resolve("default", "hello")).toMatchObject({ number: 1 });
		await deploy(here, "2");
		await expect.poll(async () => (await there.resolve("default", "hello")).number).toBe(2);
		await here.deleteFunction("default", "hello");
		await expect.poll(() => there.resolve("default", "hello").catch((error: { code: string }) => error.code)).toBe("function_not_found");
	});

	test("is unavailable while Redis is away, and there again after", async () => {
		const registry = await open();
		await deploy(registry);
		await server.kill();
		await expect(registry.getFunction("default", "hello")).rejects.toMatchObject({ code: "unavailable" });
		await server.start();
		await expect.poll(() => registry.resolve("default", "hello").catch(() => undefined)).toMatchObject({ number: 1 });
	});
});

describe("a wait for a build", () => {
	test("ends with its time", async () => {
		const registry = await open();
		expect(await registry.waitForBuild(await create(registry), 20)).toMatchObject({ state: "queued" });
	});

	test("ends when the version is deleted", async () => {
		const registry = await open();
		const waited = registry.waitForBuild(await create(registry), 5000);
		await registry.deleteFunction("default", "hello");
		expect(await waited).toBeUndefined();
	});
});

describe("what is deleted", () => {
	test("leaves nothing but its last number", async () => {
		const registry = await open();
		await deploy(registry, "1");
		await create(registry, "2");
		expect(await registry.deleteFunction("default", "hello")).toHaveLength(2);
		expect(await registry.deleteFunction("default", "hello")).toBeUndefined();
		expect(await server.client((redis) => redis.keys("*"))).toEqual(["{berth}:counter:default/hello"]);
		expect(await create(registry)).toMatchObject({ number: 3 });
	});

	test("frees the sources that no other function is made of", async () => {
		const registry = await open();
		const [shared, own] = [sourceOf("1").digest, sourceOf("2").digest] as [Digest, Digest];
		await create(registry, "1", "one");
		await create(registry, "1", "two");
		await create(registry, "2", "two");
		expect(await registry.deleteFunction("default", "two")).toEqual([own]);
		expect([await registry.usesSource(shared), await registry.usesSource(own)]).toEqual([true, false]);
	});

	test("a build that ends after it changes nothing", async () => {
		const registry = await open();
		const version = await create(registry);
		await registry.deleteFunction("default", "hello");
		expect([await registry.setBuilding(version), await registry.endBuild(version, READY)]).toEqual([false, false]);
		expect(await registry.listFunctions("default")).toEqual([]);
	});
});

describe("records that were lost", () => {
	const IMAGE = { digest: DIGEST, base: { digest: DIGEST, layers: [] }, layers: [], entry: "index.mjs" };
	const imported = (number: number) => ({
		project: "default",
		function: "hello",
		number,
		manifest: MANIFEST,
		source: sourceOf("1"),
		createdAt: "2026-01-01T00:00:00.000Z",
	});

	test("are known by the images that the store has, and nothing new takes a number of theirs", async () => {
		const registry = await open();
		expect(await registry.store.isWhole()).toBe(false);
		expect(await registry.store.find(true)).toBe("lost");
		expect(await registry.store.find(false)).toBe("lost");
		await expect(create(registry)).rejects.toMatchObject({ code: "store_unrecovered" });
		await expect(registry.store.requireRecovered()).rejects.toMatchObject({ code: "store_unrecovered" });
		await registry.store.recovered();
		expect([await registry.store.isWhole(), await registry.store.find(true)]).toEqual([true, "whole"]);
		expect((await create(registry)).number).toBe(1);
	});

	test("lead to all versions again only once the aliases are back, too", async () => {
		const registry = await open();
		const answers: boolean[] = [];
		const look = async () => answers.push(await registry.store.hasAllAliases());
		await registry.store.find(true);
		await look();
		await registry.store.recovered();
		await look();
		await registry.store.beginRecovery();
		await look();
		await registry.store.recovered();
		await look();
		expect(answers).toEqual([false, true, false, true]);
	});

	test("aren't suspected of an empty store", async () => {
		const registry = await open();
		expect(await registry.store.find(false)).toBe("whole");
		await registry.store.requireRecovered();
	});

	test("come back in any order: the newest is live, the next number is beyond it, and what is on record stays", async () => {
		const registry = await open();
		for (const number of [2, 7, 3]) expect(await registry.importVersion(imported(number), IMAGE, REPORT)).toBe(true);
		expect(await registry.importVersion({ ...imported(7), createdAt: "2027" }, IMAGE, REPORT)).toBe(false);
		// Where the records were lost, so was that there is such a project.
		await registry.importVersion({ ...imported(1), project: "shop" }, IMAGE, REPORT);
		expect(await server.client((redis) => redis.hkeys("{berth}:projects"))).toEqual(["shop"]);
		expect(await registry.getFunction("default", "hello")).toMatchObject({ live: 7, latest: 7 });
		expect(await registry.resolve("default", "hello")).toMatchObject({ ...imported(7), state: "ready", image: IMAGE });
		expect((await registry.listVersions("default", "hello")).map(({ number }) => number)).toEqual([7, 3, 2]);
		expect(await registry.usesSource(sourceOf("1").digest)).toBe(true);
		expect(await registry.reserveNumber("default", "hello")).toBe(8);
		expect(await registry.createVersion("default", "hello", MANIFEST, sourceOf("1"))).toMatchObject({ unchanged: true });
	});
});

test("a removed project's numbers of versions go after it, and nobody else's, also when that fails at first", async () => {
	const registry = await open();
	await server.client(async (redis) => {
		const projects = new Projects(redis);
		for (const name of ["shop", "shop-2"]) {
			await projects.make(name);
			await registry.reserveNumber(name, "hello");
		}
		await redis.acl("SETUSER", "default", "-scan");
		try {
			await projects.remove("shop");
			await expect(projects.removeLeftCounters()).rejects.toThrow();
		} finally {
			await redis.acl("SETUSER", "default", "+scan");
		}
		for (let i = 0; i < 2; i++) await projects.removeLeftCounters();
		expect(await redis.exists(keys.leftCounters)).toBe(0);
		expect(await redis.keys("{berth}:counter:shop*")).toEqual(["{berth}:counter:shop-2/hello"]);
	});
});

test("of a project that was removed while it was on its way nothing is made: nobody could remove it again", async () => {
	const registry = await open();
	await server.client(async (redis) => {
		const projects = new Projects(redis);
		await projects.make("shop");
		await projects.remove("shop");
	});
	const pulled = {
		project: "shop",
		function: "hello",
		number: 1,
		manifest: MANIFEST,
		source: sourceOf("1"),
		createdAt: "2026-11-26T00:00:00.000Z",
	};
	const image = { digest: DIGEST, base: { digest: DIGEST, layers: [] }, layers: [], entry: "index.mjs" };
	const vault = new Vault("ab".repeat(32));
	await using logins = closing(await PackageRegistries.open(server.url, vault));
	await using callbacks = closing(await CallbackSecrets.open(server.url, vault));
	await using secrets = closing(await Secrets.open(server.url, vault));
	await using audit = closing(await AuditLog.open(server.url));
	for (const make of [
		() => logins.set("shop", "npm.example", { scopes: [], token: "t" }),
		() => callbacks.get("shop"),
		() => callbacks.signing("shop"),
		() => callbacks.rotate("shop"),
		() => secrets.set("shop", "ONE", "value"),
		() => registry.quotas.change("shop", { functions: 1 }),
		() => audit.begin("shop", { key: { id: "key_1", name: "ci" }, from: "127.0.0.1", method: "PUT", path: "/a" }),
		() => registry.createVersion("shop", "hello", MANIFEST, sourceOf("1")),
		() => registry.importVersion(pulled, image, REPORT),
		() => registry.networks.make("shop", "back"),
		() => registry.volumes.begin("shop", "data", { sizeMiB: 16, node: "node_1" }),
	])
		await expect(make()).rejects.toMatchObject({ code: "project_not_found", message: expect.stringContaining('"shop"') });
	expect(await registry.listFunctions("shop")).toEqual([]);
	expect([await registry.networks.list("shop"), await registry.volumes.list("shop")]).toEqual([[], []]);
	await audit.end("shop", { of: "1-1", status: 201 });
	expect(await server.client((redis) => redis.keys("*shop*"))).toEqual([]);
});

/** Closed with its block. */
function closing<T extends { close(): Promise<void> }>(opened: T): T & AsyncDisposable {
	return Object.assign(opened, { [Symbol.asyncDispose]: () => opened.close() });
}

test("versions that wait for their build are known until it has ended", async () => {
	const registry = await open();
	const [a, b] = [await create(registry, "1", "a"), await create(registry, "2", "b")];
	expect((await registry.unfinished()).map((one) => one.function).sort()).toEqual(["a", "b"]);
	await registry.endBuild(a, FAILED);
	expect(await registry.unfinished()).toEqual([{ project: "default", function: "b", version: b.number }]);
	expect(await registry.usesSource(sourceOf("1").digest)).toBe(false);
	await registry.endBuild(b, READY);
	expect(await registry.unfinished()).toEqual([]);
	expect(await registry.usesSource(sourceOf("2").digest)).toBe(true);
});

test("functions are listed by name, of their project only", async () => {
	const registry = await open();
	for (const name of ["b", "a"]) await create(registry, "1", name);
	await registry.createVersion("other", "c", MANIFEST, sourceOf("1"));
	expect((await registry.listFunctions("default")).map(({ name }) => name)).toEqual(["a", "b"]);
	await expect(registry.listVersions("default", "c")).rejects.toMatchObject({ code: "function_not_found" });
});
