import { type Manifest, MOST_ALIASES, manifestSchema, type SourceReference } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { BuildEnd } from "./build-states.js";
import { FunctionRegistry } from "./function-registry.js";
import { keys } from "./keys.js";

const DIGEST = `sha256:${"a".repeat(64)}` as const;
const BUILD = { durationMs: 1, phases: {}, layers: [], warnings: [] };
const READY: BuildEnd = {
	state: "ready",
	image: { digest: DIGEST, base: { digest: DIGEST, layers: [] }, layers: [], entry: "index.js" },
	build: BUILD,
};
const FAILED: BuildEnd = {
	state: "failed",
	failure: { code: "build_failed", phase: "bundle", message: "no", diagnostics: [] },
	build: BUILD,
};
const MANIFEST: Manifest = manifestSchema.parse({});

let server: RedisServer;
let registry: FunctionRegistry;
beforeAll(async () => {
	server = await RedisServer.start();
});
beforeEach(async () => {
	registry = await FunctionRegistry.open(server.url);
});
afterEach(async () => {
	await registry.close();
	await server.empty();
});
afterAll(() => server[Symbol.asyncDispose]());

let sources = 0;

/** A new version of `f`, of a source of its own unless it matters. @returns its number */
async function build(end: BuildEnd | "queued" = READY, letter = String(sources++ % 10)): Promise<number> {
	const source: SourceReference = { digest: `sha256:${letter.repeat(64)}`, kind: "file", filename: "index.ts", sizeBytes: 1 };
	const { version } = await registry.createVersion("default", "f", MANIFEST, source);
	if (end !== "queued") expect(await registry.endBuild(version, end)).toBe(true);
	return version.number;
}

const set = (alias: string, weights: Record<string, number>) => registry.aliases.set("default", "f", alias, { weights });
const follow = (alias: string) => registry.aliases.set("default", "f", alias, { follows: true });
const rollBack = (alias = "live") => registry.aliases.rollBack("default", "f", alias);
const aliases = () => registry.aliases.list("default", "f");

/** What an alias leads to now. */
async function weightsOf(alias = "live"): Promise<Readonly<Record<string, number>>> {
	return (await registry.aliases.get("default", "f", alias)).weights;
}

describe("a deploy", () => {
	test("takes over the aliases that follow, and only those", async () => {
		await build();
		await set("stable", { 1: 100 });
		await follow("next");
		await build();
		expect(await aliases()).toMatchObject([
			{ name: "live", weights: { 2: 100 }, follows: true, previous: 1 },
			{ name: "next", weights: { 2: 100 }, follows: true, previous: 1 },
			{ name: "stable", weights: { 1: 100 }, follows: false },
		]);
	});

	test.each([
		["is split", { 1: 90, 2: 10 }],
		["was set by hand", { 1: 100 }],
		["was set by hand to the newest", { 2: 100 }],
	])("leaves an alias where it is that %s, until it follows again", async (_, weights) => {
		await build();
		await build();
		await set("live", weights);
		await build();
		expect(await weightsOf()).toEqual(weights);
		expect(await follow("live")).toMatchObject({ weights: { 3: 100 }, follows: true });
		await build();
		expect(await weightsOf()).toEqual({ 4: 100 });
	});

	test("leaves an alias where it is that was rolled back; of the same source no version is made again", async () => {
		await build();
		await build(READY, "x");
		await rollBack();
		expect(await registry.createVersion("default", "f", MANIFEST, (await registry.needVersion("default", "f", 2)).source)).toMatchObject({
			unchanged: true,
			version: { number: 2 },
		});
		await build();
		expect(await weightsOf()).toEqual({ 1: 100 });
	});

	test("that fails moves nothing, and following means the newest that is ready", async () => {
		await build();
		await build(FAILED);
		await build("queued");
		expect(await follow("next")).toMatchObject({ weights: { 1: 100 } });
		expect(await weightsOf()).toEqual({ 1: 100 });
	});
});

describe("a rollback", () => {
	test("leads to the version before, step by step, and says when there is none", async () => {
		for (let i = 0; i < 3; i++) await build();
		expect(await rollBack()).toMatchObject({ weights: { 2: 100 }, follows: false, previous: 1 });
		const last = await rollBack();
		expect(last).toMatchObject({ weights: { 1: 100 } });
		expect(last).not.toHaveProperty("previous");
		await expect(rollBack()).rejects.toMatchObject({ code: "nothing_to_roll_back" });
		expect(await weightsOf()).toEqual({ 1: 100 });
	});

	test("of a split leads to what was there before it, however often it was moved", async () => {
		await build();
		await build();
		await set("live", { 1: 100 });
		await set("live", { 1: 90, 2: 10 });
		expect(await set("live", { 1: 50, 2: 50 })).toMatchObject({ previous: 1 });
		expect(await rollBack()).toMatchObject({ weights: { 1: 100 }, follows: false });
	});

	test("passes over what it led away from before, and what was removed", async () => {
		for (let i = 0; i < 3; i++) await build();
		await rollBack();
		await build();
		await set("live", { 4: 100 });
		await registry.removeVersion("default", "f", 2);
		expect(await rollBack()).toMatchObject({ weights: { 1: 100 } });
	});

	test("isn't offered to a version that was removed", async () => {
		for (let i = 0; i < 3; i++) await build();
		await set("canary", { 1: 100 });
		await set("canary", { 2: 50, 3: 50 });
		await registry.removeVersion("default", "f", 1);
		const [live, canary] = await aliases();
		expect(live).toMatchObject({ weights: { 3: 100 }, previous: 2 });
		expect(canary).not.toHaveProperty("previous");
		await set("canary", { 3: 100 });
		await registry.removeVersion("default", "f", 2);
		for (const alias of await aliases()) expect(alias).not.toHaveProperty("previous");
		for (const name of ["live", "canary"]) await expect(rollBack(name)).rejects.toMatchObject({ code: "nothing_to_roll_back" });
	});

	test("goes back ten steps", async () => {
		for (let i = 0; i < 13; i++) await build();
		let steps = 0;
		while (await rollBack().catch(() => undefined)) steps++;
		expect([steps, await weightsOf()]).toEqual([9, { 4: 100 }]);
	});
});

test("an alias is led somewhere with its step back in one move, and without one that isn't ready", async () => {
	for (let i = 0; i < 3; i++) await build();
	const failed = await build(FAILED);
	await registry.aliases.set("default", "f", "canary", { weights: { 2: 100 } }, 1);
	expect(await registry.aliases.get("default", "f", "canary")).toMatchObject({ weights: { 2: 100 }, follows: false, previous: 1 });
	await registry.aliases.set("default", "f", "next", { follows: true }, 2);
	await registry.aliases.set("default", "f", "stable", { weights: { 3: 100 } }, failed);
	const [, , next, stable] = await aliases();
	expect(next).toMatchObject({ name: "next", weights: { 3: 100 }, follows: true, previous: 2 });
	expect(stable).not.toHaveProperty("previous");
});

describe("an alias leads nowhere", () => {
	test("where no version is ready, and stays as it was", async () => {
		await build();
		const [failed, queued] = [await build(FAILED), await build("queued")];
		for (const [weights, code] of [
			[{ 1: 50, [failed]: 50 }, "version_build_failed"],
			[{ 1: 50, [queued]: 50 }, "version_not_ready"],
			[{ 1: 50, 99: 50 }, "version_not_found"],
		] as const) {
			await expect(set("live", weights)).rejects.toMatchObject({ code });
			await expect(set("canary", weights)).rejects.toMatchObject({ code });
		}
		expect(await aliases()).toMatchObject([{ name: "live", weights: { 1: 100 }, follows: true }]);
	});

	test("of a function that isn't there, or that has no version", async () => {
		for (const refused of [set("live", { 1: 100 }), follow("live"), rollBack(), aliases(), registry.aliases.remove("default", "f", "x")]) {
			await expect(refused).rejects.toMatchObject({ code: "function_not_found" });
		}
		await build(FAILED);
		await expect(follow("live")).rejects.toMatchObject({ code: "function_not_ready" });
		await expect(rollBack()).rejects.toMatchObject({ code: "alias_not_found" });
	});
});

test("a function has so many aliases and no more; those it has can still be moved", async () => {
	await build();
	for (let i = 1; i < MOST_ALIASES; i++) await follow(`a${i}x`);
	await expect(follow("more")).rejects.toMatchObject({ code: "invalid_request" });
	await set("a1x", { 1: 100 });
	await registry.aliases.remove("default", "f", "a1x");
	await follow("more");
	expect(await aliases()).toHaveLength(MOST_ALIASES);
});

test("live can't be removed, others are gone at once", async () => {
	await build();
	await follow("next");
	expect(await registry.resolve("default", "f", { alias: "next" })).toMatchObject({ number: 1 });
	await registry.aliases.remove("default", "f", "next");
	await expect(registry.resolve("default", "f", { alias: "next" })).rejects.toMatchObject({ code: "alias_not_found" });
	await expect(registry.aliases.remove("default", "f", "live")).rejects.toMatchObject({ code: "invalid_request" });
});

describe("an invocation", () => {
	test("goes where the alias leads as soon as who moved it is answered, and elsewhere by news", async () => {
		await build();
		await build();
		const there = await FunctionRegistry.open(server.url);
		try {
			for (const one of [registry, there]) expect(await one.resolve("default", "f")).toMatchObject({ number: 2 });
			await rollBack();
			expect(await registry.resolve("default", "f")).toMatchObject({ number: 1 });
			await expect.poll(async () => (await there.resolve("default", "f")).number).toBe(1);
		} finally {
			await there.close();
		}
	});

	test("of a version by its number wants one that is ready", async () => {
		await build();
		await build(FAILED);
		await build("queued");
		expect(await registry.resolve("default", "f", { version: 1 })).toMatchObject({ number: 1 });
		for (const [version, code] of [
			[2, "version_build_failed"],
			[3, "version_not_ready"],
			[4, "version_not_found"],
		] as const) {
			await expect(registry.resolve("default", "f", { version })).rejects.toMatchObject({ code });
		}
	});

	test("of a split goes to each of its versions", async () => {
		await build();
		await build();
		await set("live", { 1: 50, 2: 50 });
		const numbers = await Promise.all(Array.from({ length: 200 }, async () => (await registry.resolve("default", "f")).number));
		expect([...new Set(numbers)].sort()).toEqual([1, 2]);
		expect(await registry.getFunction("default", "f")).toMatchObject({ live: 2 });
	});
});

describe("a version is removed", () => {
	test("unless an alias leads to it, or there is no other", async () => {
		await build();
		await expect(registry.removeVersion("default", "f", 1)).rejects.toMatchObject({ code: "version_in_use" });
		await build(FAILED);
		await set("live", { 1: 100 });
		await build();
		await set("canary", { 1: 1, 3: 99 });
		await expect(registry.removeVersion("default", "f", 1)).rejects.toMatchObject({
			code: "version_in_use",
			extra: { aliases: ["canary", "live"] },
		});
		await registry.aliases.remove("default", "f", "canary");
		await registry.removeVersion("default", "f", 3);
		expect(await registry.getFunction("default", "f")).toMatchObject({ live: 1, latest: 2 });
		await expect(registry.removeVersion("default", "f", 3)).rejects.toMatchObject({ code: "version_not_found" });
		expect((await registry.listVersions("default", "f")).map(({ number }) => number)).toEqual([2, 1]);
		expect(await build()).toBe(4);
	});

	test("whose function has no other", async () => {
		await build(FAILED);
		await expect(registry.removeVersion("default", "f", 1)).rejects.toMatchObject({
			code: "version_in_use",
			message: expect.stringContaining("delete the function"),
		});
		await expect(registry.removeVersion("default", "g", 1)).rejects.toMatchObject({ code: "function_not_found" });
	});

	test("with its source, unless another version is made of it, and its build's result is void", async () => {
		await build();
		const queued = await build("queued", "x");
		const { source } = await registry.needVersion("default", "f", queued);
		const { version } = await registry.createVersion("default", "g", MANIFEST, source);
		expect(await registry.removeVersion("default", "f", queued)).toBeUndefined();
		expect((await registry.unfinished()).map((one) => one.function)).toEqual(["g"]);
		await registry.endBuild(version, READY);
		await registry.createVersion("default", "g", MANIFEST, { ...source, filename: "other.ts" });
		await registry.deleteFunction("default", "g");
		const again = await build("queued", "x");
		expect(await registry.removeVersion("default", "f", again)).toBe(source.digest);
	});
});

describe("a function from before there were aliases", () => {
	beforeEach(async () => {
		await build();
		await build(FAILED);
		await build();
		await server.client(async (redis) => {
			await redis.hdel(keys.function("default", "f"), "alias:live");
			await redis.hset(keys.function("default", "f"), "live", "3");
		});
	});

	test("answers as it did, and follows deploys", async () => {
		expect(await registry.getFunction("default", "f")).toMatchObject({
			live: 3,
			aliases: [{ name: "live", weights: { 3: 100 }, follows: true }],
		});
		expect(await registry.resolve("default", "f")).toMatchObject({ number: 3 });
		await expect(registry.removeVersion("default", "f", 3)).rejects.toMatchObject({ code: "version_in_use" });
		await build();
		expect(await aliases()).toMatchObject([{ weights: { 4: 100 }, follows: true, previous: 3 }]);
	});

	test("can be rolled back to the ready version before", async () => {
		expect(await rollBack()).toMatchObject({ weights: { 1: 100 }, follows: false });
		expect(await server.client((redis) => redis.hexists(keys.function("default", "f"), "live"))).toBe(0);
	});

	test("can be split", async () => {
		expect(await set("live", { 1: 90, 3: 10 })).toMatchObject({ weights: { 1: 90, 3: 10 }, previous: 3 });
	});
});

test("an alias of a later Berth's shape is no alias of ours", async () => {
	await build();
	await server.client((redis) => redis.hset(keys.function("default", "f"), "alias:live", '{"shape":2}'));
	await expect(registry.resolve("default", "f")).rejects.toMatchObject({ code: "platform_error" });
});
