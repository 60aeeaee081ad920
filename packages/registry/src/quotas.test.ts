import { type Digest, type ManifestInput, MIB, manifestSchema, type Quotas, type Version } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { FunctionRegistry } from "./function-registry.js";

const BUILD = { durationMs: 1, phases: {}, layers: [], warnings: [] };
const MANIFEST = manifestSchema.parse({});
const digestOf = (letter: string): Digest => `sha256:${letter.repeat(64)}`;

let server: RedisServer;
const opened: FunctionRegistry[] = [];
beforeAll(async () => {
	server = await RedisServer.start();
});
afterEach(async () => {
	await Promise.all(opened.splice(0).map((one) => one.close()));
	await server.empty();
});
afterAll(() => server[Symbol.asyncDispose]());

async function open(quotas: Quotas = {}): Promise<FunctionRegistry> {
	const registry = await FunctionRegistry.open(server.url, undefined, quotas);
	opened.push(registry);
	return registry;
}

const imageOf = (layers: Readonly<Record<string, number>>) => ({
	digest: digestOf("f"),
	base: { digest: digestOf("e"), layers: [] },
	layers: Object.entries(layers).map(([letter, mib]) => ({ digest: digestOf(letter), sizeBytes: mib * MIB })),
	entry: "index.mjs",
});

let sources = 0;
async function create(registry: FunctionRegistry, name: string): Promise<Version> {
	const source = { digest: digestOf((sources++ % 10).toString()), kind: "file", filename: `${sources}.ts`, sizeBytes: 1 } as const;
	return (await registry.createVersion("default", name, MANIFEST, source)).version;
}
/** A version of these layers: each letter is one, of so many MiB. */
async function made(registry: FunctionRegistry, name: string, layers: Readonly<Record<string, number>>): Promise<Version> {
	const version = await create(registry, name);
	await registry.endBuild(version, { state: "ready", image: imageOf(layers), build: BUILD });
	return version;
}

test("images take what their layers take, each counted once, until the last version goes that has one", async () => {
	const registry = await open();
	const used = () => registry.quotas.imageMiBOf("default");
	await made(registry, "one", { a: 10, b: 5 });
	await made(registry, "one", { a: 10, c: 1 });
	await made(registry, "two", { a: 10 });
	expect(await used()).toBe(16);
	await registry.removeVersion("default", "one", 1);
	expect(await used()).toBe(11);
	await registry.deleteFunction("default", "one");
	expect(await used()).toBe(10);
	await registry.deleteFunction("default", "two");
	expect(await used()).toBe(0);
});

test("of builds that end at the same time no more are ready than there is room for; layers that are there need none", async () => {
	const [registry, other] = [await open({ imageMiB: 10 }), await open({ imageMiB: 10 })];
	const versions = await Promise.all(["a", "b", "c", "d"].map((name) => create(registry, name)));
	const ends = await Promise.allSettled(
		versions.map((version, n) =>
			(n % 2 === 0 ? registry : other).endBuild(version, { state: "ready", image: imageOf({ [version.function]: 4 }), build: BUILD }),
		),
	);
	expect(ends.filter(({ status }) => status === "fulfilled")).toHaveLength(2);
	const refused = ends.find((end) => end.status === "rejected");
	expect(refused?.reason).toMatchObject({ code: "quota_exceeded", extra: { quota: "imageMiB", limit: 10, used: 12 } });
	expect(await registry.quotas.imageMiBOf("default")).toBe(8);
	const there = (await registry.listFunctions("default")).find(({ live }) => live !== undefined)?.name ?? "";
	await made(registry, there, { [there]: 4 });
	expect(await registry.quotas.imageMiBOf("default")).toBe(8);
});

test("where there is no room at all nothing is built or pulled, and what is lowered or raised holds for the next one", async () => {
	const registry = await open();
	await made(registry, "one", { a: 10 });
	await registry.quotas.change("default", { imageMiB: 10 });
	await expect(create(registry, "two")).rejects.toMatchObject({ code: "quota_exceeded", issues: [{ field: "imageMiB" }] });
	await expect(registry.quotas.requireImageRoom("default")).rejects.toMatchObject({ code: "quota_exceeded" });
	await registry.quotas.change("default", { imageMiB: "unlimited" });
	await create(registry, "two");
});

test("a pull is bounded like a deploy, and what comes back in a recovery isn't", async () => {
	const registry = await open({ functions: 1, imageMiB: 3 });
	const version = (name: string) => ({
		project: "default",
		function: name,
		number: 1,
		manifest: MANIFEST,
		source: { digest: digestOf("1"), kind: "file", sizeBytes: 1 } as const,
		createdAt: "2026-11-26T00:00:00.000Z",
	});
	await expect(registry.importVersion(version("a"), imageOf({ a: 4 }), BUILD)).rejects.toMatchObject({ extra: { quota: "imageMiB" } });
	expect(await registry.importVersion(version("a"), imageOf({ a: 2 }), BUILD)).toBe(true);
	await expect(registry.importVersion(version("b"), imageOf({}), BUILD)).rejects.toMatchObject({ extra: { quota: "functions" } });
	expect(await registry.importVersion(version("b"), imageOf({ b: 9 }), BUILD, "again")).toBe(true);
	expect(await registry.quotas.imageMiBOf("default")).toBe(11);
});

test("sandboxes that are always ready are bounded by the version of each function that was deployed last, and listed", async () => {
	const registry = await open({ warmMiB: 512 });
	const deploy = (name: string, manifest: ManifestInput) =>
		registry.createVersion("default", name, manifestSchema.parse(manifest), { digest: digestOf("1"), kind: "file", sizeBytes: 1 });
	await deploy("a", { pool: { min: 1, windows: [{ cron: "@daily", forMs: 60_000, min: 3 }] } });
	await expect(deploy("b", { pool: { min: 1 }, memoryMiB: 256 })).rejects.toMatchObject({
		code: "quota_exceeded",
		extra: { quota: "warmMiB", limit: 512, used: 640 },
	});
	await deploy("b", { pool: { min: 1 } });
	expect(await registry.quotas.warmMiBOf("default")).toBe(512);
	await deploy("a", {});
	expect(await registry.quotas.warmMiBOf("default")).toBe(128);
	await deploy("b", { pool: { min: 4 } });
	// An alias may lead to the version before.
	expect((await registry.warmFunctions()).map((each) => `${each.project}/${each.function}`).sort()).toEqual(["default/a", "default/b"]);
	await registry.deleteFunction("default", "b");
	expect(await registry.quotas.warmMiBOf("default")).toBe(0);
	expect(await registry.warmFunctions()).toEqual([{ project: "default", function: "a" }]);
	await registry.quotas.change("default", { warmMiB: "unlimited" });
	await deploy("c", { pool: { min: 100 } });
});

test("what is imported is listed, and counts where nothing newer was deployed", async () => {
	const registry = await open({ warmMiB: 512 });
	const imported = (name: string, number: number, min: number) => ({
		project: "default",
		function: name,
		number,
		manifest: manifestSchema.parse({ pool: { min } }),
		source: { digest: digestOf("1"), kind: "file", sizeBytes: 1 } as const,
		createdAt: "2026-11-26T00:00:00.000Z",
	});
	await registry.importVersion(imported("a", 2, 2), imageOf({}), BUILD);
	await registry.importVersion(imported("a", 1, 9), imageOf({}), BUILD);
	expect(await registry.quotas.warmMiBOf("default")).toBe(256);
	expect(await registry.warmFunctions()).toEqual([{ project: "default", function: "a" }]);
});

test("a change is known at every process that listens, and a project of its own has its own", async () => {
	const [one, two] = [await open({ functions: 5 }), await open({ functions: 5 })];
	await one.quotas.change("default", { functions: 9, requestsPerSecond: 7 });
	expect(one.quotas.of("default")).toEqual({ functions: 9, requestsPerSecond: 7 });
	await expect.poll(() => two.quotas.of("default")).toEqual({ functions: 9, requestsPerSecond: 7 });
	expect(two.quotas.of("another")).toEqual({ functions: 5 });
	await two.quotas.change("default", { functions: null, requestsPerSecond: null });
	await expect.poll(() => one.quotas.of("default")).toEqual({ functions: 5 });
});
