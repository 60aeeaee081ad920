import { type Digest, type Manifest, manifestSchema, type Version } from "@berth/contracts";
import { RedisServer } from "@berth/redis/testing";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import type { BuildEnd } from "./build-states.js";
import { FunctionRegistry } from "./function-registry.js";
import { keys } from "./keys.js";

const [OLD, NEW]: readonly Digest[] = [`sha256:${"a".repeat(64)}`, `sha256:${"b".repeat(64)}`];
const BUILD = { durationMs: 1, phases: {}, layers: [], warnings: [] };
const MANIFEST: Manifest = manifestSchema.parse({});
const FAILED: BuildEnd = {
	state: "failed",
	failure: { code: "build_failed", phase: "bundle", message: "no", diagnostics: [] },
	build: BUILD,
};

let server: RedisServer;
let registry: FunctionRegistry;
beforeAll(async () => {
	server = await RedisServer.start();
});
beforeEach(async () => {
	registry = await FunctionRegistry.open(server.url);
	await registry.rebases.announce({ node24: NEW as Digest });
});
afterEach(async () => {
	await registry.close();
	await server.empty();
});
afterAll(() => server[Symbol.asyncDispose]());

const readyOn = (base = OLD as Digest): BuildEnd => ({
	state: "ready",
	image: { digest: base, base: { digest: base, layers: [] }, layers: [], entry: "index.js" },
	build: BUILD,
});

/** A version of `f`, of the source of a letter. */
async function deploy(letter: string): Promise<Version> {
	const source = { digest: `sha256:${letter.repeat(64)}`, kind: "file", sizeBytes: 1 } as const;
	return (await registry.createVersion("default", "f", MANIFEST, source)).version;
}

async function deployed(letter: string, base?: Digest): Promise<void> {
	await registry.endBuild(await deploy(letter), readyOn(base));
}

const summary = async () => {
	const found = await registry.getFunction("default", "f");
	if (found === undefined) throw new Error("there is no f");
	return found;
};
const outdated = async () => (await registry.rebases.outdated(await summary())).map(({ version }) => version);
const rebase = () => registry.rebases.create("default", "f");
const end = (version: Version | undefined, how = readyOn(NEW as Digest)) => registry.endBuild(version as Version, how);
const weights = async (alias = "live") => (await registry.aliases.get("default", "f", alias)).weights;

describe("what is outdated", () => {
	test("is what an alias leads to on another base than its runtime's of now", async () => {
		await deployed("1");
		expect(await registry.rebases.outdated(await summary())).toEqual([{ version: 1, base: OLD, current: NEW }]);
		await deployed("2", NEW);
		expect(await outdated()).toEqual([]);
		await registry.aliases.set("default", "f", "old", { weights: { 1: 50, 2: 50 } });
		expect(await outdated()).toEqual([1]);
	});

	test("isn't said of a runtime that nothing is known of", async () => {
		await deployed("1");
		await registry.rebases.announce({ node24: OLD as Digest });
		expect(await outdated()).toEqual([]);
	});
});

describe("a rebase", () => {
	test("makes a version of the same source, which takes the other's place when it is ready, and can be taken back", async () => {
		await deployed("1");
		const [version] = await rebase();
		expect(version).toMatchObject({
			number: 2,
			state: "queued",
			rebasedFrom: 1,
			manifest: MANIFEST,
			source: { digest: `sha256:${"1".repeat(64)}` },
		});
		expect(Object.keys(version as Version)).not.toContain("rank");
		expect(await weights()).toEqual({ 1: 100 });
		await end(version);
		expect([await weights(), (await registry.aliases.get("default", "f", "live")).follows, await outdated()]).toEqual([
			{ 2: 100 },
			true,
			[],
		]);
		expect((await registry.aliases.rollBack("default", "f", "live")).weights).toEqual({ 1: 100 });
	});

	test("of a split alias leaves the shares as they are", async () => {
		await deployed("1");
		await deployed("2");
		await registry.aliases.set("default", "f", "live", { weights: { 1: 90, 2: 10 } });
		const versions = await rebase();
		expect(versions.map(({ rebasedFrom }) => rebasedFrom)).toEqual([1, 2]);
		for (const version of versions) await end(version);
		expect(await weights()).toEqual({ 3: 90, 4: 10 });
	});

	test("that fails leaves everything where it is, and may be tried again", async () => {
		await deployed("1");
		await end((await rebase())[0], FAILED);
		expect([await weights(), await outdated()]).toEqual([{ 1: 100 }, [1]]);
		expect((await rebase()).map(({ number }) => number)).toEqual([3]);
	});

	test("that is asked for twice is one", async () => {
		await deployed("1");
		expect((await rebase())[0]?.number).toBe((await rebase())[0]?.number);
	});

	test("of what is up to date makes nothing; of nothing is an error", async () => {
		await deployed("1", NEW);
		expect(await rebase()).toEqual([]);
		await expect(registry.rebases.create("default", "nobody")).rejects.toMatchObject({ code: "function_not_found" });
	});

	test("that isn't permitted for one of its versions makes none", async () => {
		await deployed("1");
		const refused = registry.rebases.create("default", "f", ({ network }) => {
			throw new Error(`${JSON.stringify(network)} isn't permitted`);
		});
		await expect(refused).rejects.toThrow('"none" isn\'t permitted');
		expect((await summary()).latest).toBe(1);
	});

	test("doesn't begin while the store is lost", async () => {
		await deployed("1");
		await server.client((redis) => redis.set(keys.store, "lost"));
		await expect(rebase()).rejects.toMatchObject({ code: "store_unrecovered" });
	});
});

describe("a deploy beside a rebase", () => {
	test("that was ready before it isn't undone by it", async () => {
		await deployed("1");
		const [rebased] = await rebase();
		await deployed("2", NEW);
		await end(rebased);
		expect(await weights()).toEqual({ 3: 100 });
	});

	test("that was begun before it and is ready after it is live, though its number is lower", async () => {
		await deployed("1");
		const next = await deploy("2");
		const [rebased] = await rebase();
		await end(rebased);
		expect(await weights()).toEqual({ 3: 100 });
		await end(next);
		expect(await weights()).toEqual({ 2: 100 });
		expect((await summary()).latest).toBe(2);
	});

	test("of the same source is unchanged", async () => {
		await deployed("1");
		await end((await rebase())[0]);
		const source = { digest: `sha256:${"1".repeat(64)}`, kind: "file", sizeBytes: 1 } as const;
		expect(await registry.createVersion("default", "f", MANIFEST, source)).toMatchObject({ unchanged: true, version: { number: 2 } });
	});

	test("that an alias is led to follow again: what was deployed last counts, not what was rebased last", async () => {
		await deployed("1");
		await deployed("2", NEW);
		await registry.aliases.set("default", "f", "live", { weights: { 1: 100 } });
		await end((await rebase())[0]);
		expect(await weights()).toEqual({ 3: 100 });
		await registry.aliases.set("default", "f", "live", { follows: true });
		expect(await weights()).toEqual({ 2: 100 });
	});
});
