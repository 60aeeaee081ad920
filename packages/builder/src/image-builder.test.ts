import { mkdtemp, readdir, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Base, type BuildLogLine, type Digest, type ImageReference, manifestSchema, type Version } from "@berth/contracts";
import { type ArtifactStore, openArtifactStore, Vault } from "@berth/registry";
import { readFromLayer } from "@berth/registry/layer-reader";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Bases } from "./bases.js";
import type { BuildListener } from "./build-listener.js";
import type { BuildRun, BuildSandboxes } from "./build-sandbox.js";
import { type BuildResult, ImageBuilder } from "./image-builder.js";
import { storeImage } from "./oci-image.js";
import { digestOfLayers, placeInImage } from "./stored-layer.js";
import { bundled, dependent, FakeSandbox } from "./testing/fake-sandbox.js";

let directory: string;
let artifacts: ArtifactStore;
/** Versions as the registry has them, by the names of their images. */
let recorded: Map<string, Version>;
let mended: string[];
beforeEach(async () => {
	[recorded, mended] = [new Map(), []];
	directory = await mkdtemp(join(tmpdir(), "builder-"));
	artifacts = await openArtifactStore(directory);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** @param parts what the base of Node is made of: its runtime and its agent */
async function makeBuilder(sandboxes: BuildSandboxes, parts: readonly string[] = ["a base layer"]): Promise<ImageBuilder> {
	const layers = await Promise.all(
		parts.map(async (part) => {
			const { digest, sizeBytes } = await artifacts.images.putBlob(Buffer.from(part));
			return { digest, sizeBytes };
		}),
	);
	const base: Base = { digest: digestOfLayers(layers), layers };
	const bases: Bases = { node24: base, node22: base, python3: base, custom: base, build: base, scripts: base };
	const image = await storeImage(artifacts.images, base.layers, {});
	await artifacts.images.tag("base/node24:current", image.manifest);
	return new ImageBuilder({
		bases,
		vault: new Vault("ab".repeat(32)),
		stores: artifacts,
		sandboxes,
		timeoutMs: 1000,
		fetchImage: () => Promise.reject(new Error("no image is fetched")),
		dockerfiles: undefined,
		sourcesOf: async (_project, language) => ({
			language,
			registries: [{ url: "http://registry/", scopes: [] }],
			logins: new Map(),
			redirects: [],
		}),
		installMs: 1000,
		silenceMs: 1000,
		findVersion: async (project, name, number) => recorded.get(`${project}/${name}:${number}`),
		onMend: (name) => mended.push(name),
	});
}

/** Builds, and records what came of it. */
async function built(builder: ImageBuilder, version: Version, text: string): Promise<ImageReference> {
	const result = await builder.build(version, sourceOf(text));
	if (!result.ok) throw new Error("it doesn't build");
	recorded.set(`${version.project}/${version.function}:${version.number}`, { ...version, state: "ready", image: result.image });
	return result.image;
}

function versionOf(number: number, text = "export default 1", more: Partial<Version> = {}): Version {
	const digest: Digest = `sha256:${Buffer.from(text.padEnd(32, "0")).toString("hex").slice(0, 64)}`;
	return {
		project: "default",
		function: "hello",
		number,
		state: "building",
		manifest: manifestSchema.parse({}),
		source: { digest, kind: "file", filename: "index.ts", sizeBytes: text.length },
		createdAt: "2026-01-01T00:00:00.000Z",
		...more,
	};
}

const sourceOf = (text: string) => async () => Buffer.from(text);
const blobs = () => readdir(join(directory, "oci/blobs/sha256"));

describe("a build", () => {
	test("makes an image of base and code, named and readable", async () => {
		const builder = await makeBuilder(new FakeSandbox());
		const result = await builder.build(versionOf(1), sourceOf("code"));
		expect(result).toMatchObject({ ok: true, bundled: true, report: { phases: { unpack: 1, bundle: 2, check: 3 } } });
		if (!result.ok) return;
		expect(artifacts.images.resolve("default/hello:1")?.digest).toBe(result.image.digest);
		const [code] = result.image.layers;
		expect((await readFromLayer(artifacts.images.blobPath(code?.digest as Digest), placeInImage("index.mjs")))?.toString()).toBe("code");
		const manifest = JSON.parse((await artifacts.images.readBlob(result.image.digest)).toString());
		expect(manifest.layers).toHaveLength(2);
		const config = JSON.parse((await artifacts.images.readBlob(manifest.config.digest)).toString());
		expect(config.rootfs.diff_ids).toEqual(manifest.layers.map(({ digest }: { digest: string }) => digest));
		expect(JSON.parse(config.config.Labels["dev.berth.source"])).toMatchObject({ filename: "index.ts" });
	});

	test("of the same again bundles nothing, reads no source, and has the same digest", async () => {
		const sandbox = new FakeSandbox();
		const builder = await makeBuilder(sandbox);
		const first = await builder.build(versionOf(1), sourceOf("code"));
		const second = await builder.build(versionOf(2), () => Promise.reject(new Error("it isn't to be read")));
		expect(second).toMatchObject({
			ok: true,
			bundled: false,
			report: { layers: expect.arrayContaining([expect.objectContaining({ name: "code", cached: true })]) },
		});
		expect(first.ok && second.ok && first.image.digest === second.image.digest).toBe(true);
		expect(sandbox.runs).toBe(1);
	});

	test("in another store has the same digest", async () => {
		const first = await (await makeBuilder(new FakeSandbox())).build(versionOf(1), sourceOf("code"));
		await rm(directory, { recursive: true });
		artifacts = await openArtifactStore(directory);
		const second = await (await makeBuilder(new FakeSandbox())).build(versionOf(7, undefined, { createdAt: "2027" }), sourceOf("code"));
		expect(first.ok && second.ok && first.image.digest === second.image.digest).toBe(true);
	});

	test("after a restart keeps the very file of an unchanged layer", async () => {
		const sandbox = new FakeSandbox();
		const first = await (await makeBuilder(sandbox)).build(versionOf(1), sourceOf("code"));
		const path = artifacts.images.blobPath((first.ok ? first.image.layers[0]?.digest : undefined) as Digest);
		const { ino, mtimeMs } = await stat(path);
		artifacts = await openArtifactStore(directory);
		await (await makeBuilder(sandbox)).build(versionOf(2), sourceOf("code"));
		expect(await stat(path)).toMatchObject({ ino, mtimeMs });
		expect(sandbox.runs).toBe(1);
	});

	test("whose layer was lost or cut short makes it again", async () => {
		const sandbox = new FakeSandbox();
		const builder = await makeBuilder(sandbox);
		const first = await builder.build(versionOf(1), sourceOf("code"));
		if (first.ok) await artifacts.images.removeBlob(first.image.layers[0]?.digest as Digest);
		const second = await builder.build(versionOf(2), sourceOf("code"));
		expect(second).toMatchObject({ ok: true, bundled: true });
		expect(sandbox.runs).toBe(2);
	});

	test.each([
		["timed_out", "build_timed_out"],
		["out_of_memory", "build_failed"],
		["crashed", "build_failed"],
	] as const)("that ends as %s is the source's fault, and leaves nothing", async (outcome, code) => {
		const sandbox = new FakeSandbox();
		const builder = await makeBuilder(sandbox);
		const before = await blobs();
		sandbox.answer = () => ({ outcome, message: "it ended" });
		expect(await builder.build(versionOf(1), sourceOf("x"))).toMatchObject({ ok: false, failure: { code }, report: { layers: [] } });
		expect(await blobs()).toEqual(before);
		expect(builder.functions()).toEqual([]);
	});

	test("that says what is wrong passes it on", async () => {
		const sandbox = new FakeSandbox();
		const diagnostics = [{ severity: "error", message: "Expected )", file: "index.ts", line: 1, column: 2 }];
		const answer = { ok: false, code: "build_failed", phase: "bundle", message: "no", diagnostics };
		sandbox.answer = () => ({ outcome: "answered", answer, body: Buffer.alloc(0) });
		const result = await (await makeBuilder(sandbox)).build(versionOf(1), sourceOf("x"));
		expect(result).toMatchObject({ ok: false, failure: { code: "build_failed", phase: "bundle", diagnostics } });
	});

	test.each([
		["nothing", undefined, "x"],
		["another entry", { ok: true, bundleBytes: 1, mapBytes: 0, cacheBytes: 0, entry: "../../etc/passwd", warnings: [], phases: {} }, "x"],
		["files longer than its bytes", { ...(bundled("x") as { answer: object }).answer, bundleBytes: 1000 }, "x"],
	])("that answers %s is refused: a sandbox isn't believed", async (_, answer, body) => {
		const sandbox = new FakeSandbox();
		sandbox.answer = () => ({ outcome: "answered", answer, body: Buffer.from(body) });
		const builder = await makeBuilder(sandbox);
		await expect(builder.build(versionOf(1), sourceOf("x"))).rejects.toMatchObject({ code: "build_platform_error" });
	});
});

describe("builds of the same source at the same time", () => {
	const bundling = (builder: ImageBuilder, name: string, listener: BuildListener) =>
		builder.build(versionOf(1, "same", { function: name }), sourceOf("same"), listener);

	/** Two builds, of which whichever is first goes on when the other waits for it. */
	function both(builder: ImageBuilder, sandbox: FakeSandbox): readonly [Promise<BuildResult>, Promise<BuildResult>] {
		const waits = Promise.withResolvers<void>();
		const { answer } = sandbox;
		sandbox.answer = async (source, request) => {
			await waits.promise;
			return await answer(source, request);
		};
		const line = ({ text }: BuildLogLine) => void (text.startsWith("waiting for another build") && waits.resolve());
		const listener = { line, progress: () => undefined };
		return [bundling(builder, "one", listener), bundling(builder, "two", listener)];
	}

	test("are one build, and an image for each", async () => {
		const sandbox = new FakeSandbox();
		const results = await Promise.all(both(await makeBuilder(sandbox), sandbox));
		expect(results.map((result) => result.ok && result.bundled).sort()).toEqual([false, true]);
		expect(sandbox.runs).toBe(1);
		expect(artifacts.images.resolve("default/two:1")?.digest).toBe(artifacts.images.resolve("default/one:1")?.digest);
	});

	test("fail together when the source is to blame", async () => {
		const sandbox = new FakeSandbox();
		sandbox.answer = () => ({ outcome: "timed_out", message: "it ended" });
		expect(await Promise.all(both(await makeBuilder(sandbox), sandbox))).toMatchObject([{ ok: false }, { ok: false }]);
		expect(sandbox.runs).toBe(1);
	});

	test("are each tried when we are to blame", async () => {
		const sandbox = new FakeSandbox();
		sandbox.answer = (source) => {
			if (sandbox.runs === 1) throw new Error("the sandbox is gone");
			return bundled(Buffer.from(source).toString());
		};
		const ends = await Promise.allSettled(both(await makeBuilder(sandbox), sandbox));
		expect(ends.map(({ status }) => status).sort()).toEqual(["fulfilled", "rejected"]);
		expect(ends.find(({ status }) => status === "fulfilled")).toMatchObject({ value: { ok: true } });
	});
});

describe("a build without cache", () => {
	test("makes every layer anew, says that they came out the same, and has the same digest", async () => {
		const sandbox = new FakeSandbox();
		sandbox.answer = dependent(true);
		const builder = await makeBuilder(sandbox);
		const first = await builder.build(versionOf(1), sourceOf("code"));
		const second = await builder.build(versionOf(2, undefined, { noCache: true }), sourceOf("code"));
		expect([sandbox.installs, sandbox.runs]).toEqual([2, 4]);
		const own = (result: BuildResult) => result.report.layers.slice(2).map(({ cached, reproduced }) => ({ cached, reproduced }));
		expect([own(first), own(second)]).toEqual([
			Array(2).fill({ cached: false, reproduced: undefined }),
			Array(2).fill({ cached: false, reproduced: true }),
		]);
		expect(first.ok && second.ok && first.image.digest === second.image.digest).toBe(true);
	});

	test("says when a layer came out otherwise", async () => {
		const sandbox = new FakeSandbox();
		const builder = await makeBuilder(sandbox);
		await builder.build(versionOf(1), sourceOf("code"));
		sandbox.answer = () => bundled("something else");
		const { report } = await builder.build(versionOf(2, undefined, { noCache: true }), sourceOf("code"));
		expect(report.layers.at(-1)).toMatchObject({ name: "code", cached: false, reproduced: false });
	});
});

describe("dependencies without a lock file", () => {
	/** Answers with another lock file each time that it resolves, as a registry does that goes on. */
	function unlocked(): FakeSandbox & { resolutions: number } {
		const sandbox = Object.assign(new FakeSandbox(), { resolutions: 0 });
		sandbox.answer = (source, request) => {
			if (request.step === "source" && request.grafted) return bundled(Buffer.from(source).toString(), { needsDependencies: true });
			if (request.step === "source")
				return { outcome: "answered", answer: { ok: "dependencies", locked: false }, body: Buffer.from("a package.json") };
			const body = Buffer.from(`a lock file${++sandbox.resolutions}`);
			return { outcome: "answered", answer: { ok: "resolved", lockBytes: 11, packages: 1 }, body };
		};
		return sandbox;
	}
	const on = (number: number, runtime: "node22" | "node24", more: Partial<Version> = {}) =>
		versionOf(number, undefined, { manifest: manifestSchema.parse({ runtime }), ...more });
	const lockOf = ({ report }: BuildResult) => report.lockfile;

	test("are resolved once, also for what has them installed again: another runtime, other scripts", async () => {
		const sandbox = unlocked();
		const builder = await makeBuilder(sandbox);
		const first = await builder.build(on(1, "node24"), sourceOf("code"));
		const second = await builder.build(on(2, "node22"), sourceOf("code"));
		expect([sandbox.resolutions, sandbox.installs]).toEqual([1, 2]);
		expect([lockOf(first)?.cached, lockOf(second)]).toEqual([false, { ...lockOf(first), cached: true }]);
	});

	test("are resolved anew where that is asked for, and what came of it is what counts from then on", async () => {
		const sandbox = unlocked();
		const builder = await makeBuilder(sandbox);
		await builder.build(on(1, "node24"), sourceOf("code"));
		const anew = await builder.build(on(2, "node24", { noCache: true }), sourceOf("code"));
		const third = await builder.build(on(3, "node22"), sourceOf("code"));
		expect(lockOf(third)).toEqual({ ...lockOf(anew), cached: true });
		expect([sandbox.resolutions, sandbox.installs]).toEqual([2, 3]);
	});
});

describe("on another base", () => {
	const rebased = versionOf(2, undefined, { rebasedFrom: 1 });

	test("that differs in its agent nothing is built", async () => {
		const sandbox = new FakeSandbox();
		sandbox.answer = dependent(true);
		const first = await (await makeBuilder(sandbox, ["node", "agent"])).build(versionOf(1), sourceOf("code"));
		const second = await (await makeBuilder(sandbox, ["node", "patched agent"])).build(rebased, sourceOf("code"));
		expect([sandbox.installs, sandbox.runs]).toEqual([1, 2]);
		if (!first.ok || !second.ok) throw new Error("it doesn't build");
		expect(second.image.layers).toEqual(first.image.layers);
		expect(second.image.base.digest).not.toBe(first.image.base.digest);
		expect(second.image.digest).not.toBe(first.image.digest);
	});

	test("that differs in its Node the code is built, as its code cache is of that Node, and nothing is installed", async () => {
		const sandbox = new FakeSandbox();
		sandbox.answer = dependent(true);
		await (await makeBuilder(sandbox, ["node", "agent"])).build(versionOf(1), sourceOf("code"));
		const second = await (await makeBuilder(sandbox, ["patched node", "agent"])).build(rebased, sourceOf("code"));
		expect(second).toMatchObject({ ok: true, bundled: true });
		expect(sandbox.installs).toBe(1);
	});

	test("a version whose source isn't here has the layers of before", async () => {
		const sandbox = new FakeSandbox();
		sandbox.answer = dependent(true);
		const image = await built(await makeBuilder(sandbox, ["node", "agent"]), versionOf(1), "code");
		const builder = await makeBuilder(sandbox, ["patched node", "agent"]);
		const second = await builder.rebase(rebased, image);
		expect(second).toMatchObject({ ok: true, bundled: false, image: { layers: image.layers, entry: image.entry } });
		expect(second.report.layers.map(({ name, cached }) => [name, cached])).toEqual([
			["runtime", true],
			["agent", true],
			["dependencies", true],
			["code", true],
		]);
		await artifacts.images.removeBlob(image.layers[0]?.digest as Digest);
		await expect(builder.rebase(rebased, image)).rejects.toMatchObject({ code: "build_platform_error" });
	});
});

describe("dependencies", () => {
	const dependenciesIn = (result: BuildResult) => result.report.layers.find(({ name }) => name === "dependencies");

	test("are installed once, and are a layer of the image below the code when the code loads from it", async () => {
		const sandbox = new FakeSandbox();
		sandbox.answer = dependent(true);
		const builder = await makeBuilder(sandbox);
		const [first, second] = [await builder.build(versionOf(1, "a"), sourceOf("a")), await builder.build(versionOf(2, "b"), sourceOf("b"))];
		expect([dependenciesIn(first), dependenciesIn(second)]).toMatchObject([
			{ cached: false, inImage: true },
			{ cached: true, inImage: true },
		]);
		expect([sandbox.installs, new Set(sandbox.grafts).size]).toEqual([1, 1]);
		const layers = second.ok ? second.image.layers : [];
		expect(layers.map(({ digest }) => digest)).toEqual([sandbox.grafts[0], layers[1]?.digest]);
		expect(
			(await readFromLayer(artifacts.images.blobPath(layers[0]?.digest as Digest), placeInImage("node_modules/pkg/index.js")))?.toString(),
		).toBe("its code");
	});

	test("that are all in the bundle aren't in the image, stay for the next version, and go with the function", async () => {
		const sandbox = new FakeSandbox();
		sandbox.answer = dependent(false);
		const builder = await makeBuilder(sandbox);
		const before = await blobs();
		const first = await builder.build(versionOf(1, "a"), sourceOf("a"));
		expect(first.ok && first.image.layers).toHaveLength(1);
		await builder.collect();
		expect(dependenciesIn(await builder.build(versionOf(2, "b"), sourceOf("b")))).toMatchObject({ cached: true, inImage: false });
		expect(sandbox.installs).toBe(1);
		expect(builder.functions()).toEqual(["default/hello"]);
		await builder.removeFunction("default", "hello");
		expect(await blobs()).toEqual(before);
	});

	test("that two builds want at the same time are installed for both", async () => {
		const sandbox = new FakeSandbox();
		sandbox.answer = dependent(true);
		const builder = await makeBuilder(sandbox);
		await Promise.all(["a", "b"].map((text) => builder.build(versionOf(1, text, { function: text }), sourceOf(text))));
		expect(sandbox.installs).toBe(1);
	});

	test("whose layer is gone are installed again, also where the code is there", async () => {
		const sandbox = new FakeSandbox();
		sandbox.answer = dependent(true);
		const builder = await makeBuilder(sandbox);
		await builder.build(versionOf(1), sourceOf("a"));
		await artifacts.images.removeBlob(sandbox.grafts[0] as Digest);
		expect(dependenciesIn(await builder.build(versionOf(2), sourceOf("a")))).toMatchObject({ cached: false });
		expect(sandbox.installs).toBe(2);
	});
});

describe("what is removed", () => {
	test("takes along what nothing else needs, and nothing else", async () => {
		const builder = await makeBuilder(new FakeSandbox());
		await builder.build(versionOf(1, "one"), sourceOf("one"));
		const other = await builder.build(versionOf(1, "two", { function: "other" }), sourceOf("two"));
		await builder.removeFunction("default", "hello");
		expect(builder.functions()).toEqual(["default/other"]);
		const kept = other.ok ? [...other.image.base.layers, ...other.image.layers].map(({ digest }) => digest) : [];
		// Two layers; config and manifest of the image, and of the base.
		expect(await blobs()).toHaveLength(6);
		for (const digest of kept) expect(await artifacts.images.hasBlob(digest)).toBe(true);
		expect(await readdir(join(directory, "keys"))).toHaveLength(1);
	});

	test("may be one version, of a function that was deleted while it was built", async () => {
		const builder = await makeBuilder(new FakeSandbox());
		const [version, before] = [versionOf(1), await blobs()];
		await builder.build(version, sourceOf("one"));
		expect(builder.functions()).toEqual(["default/hello"]);
		await builder.removeVersion(version);
		expect(builder.functions()).toEqual([]);
		expect(await blobs()).toEqual(before);
	});

	test("doesn't wait for a tenant's build that hangs", async () => {
		const sandbox = new FakeSandbox();
		const builder = await makeBuilder(sandbox);
		await builder.build(versionOf(1, "one"), sourceOf("one"));
		const hang = Promise.withResolvers<BuildRun>();
		sandbox.answer = () => hang.promise;
		const hanging = builder.build(versionOf(1, "two", { function: "slow" }), sourceOf("two"));
		await builder.removeFunction("default", "hello");
		hang.resolve(bundled("two"));
		expect(await hanging).toMatchObject({ ok: true });
	});
});

describe("a manifest that can't be read", () => {
	const manifestOf = (name: string) => artifacts.images.blobPath(artifacts.images.resolve(name)?.digest as Digest);

	test.each<[string, (path: string) => Promise<void>]>([
		["missing", (path) => rm(path)],
		["corrupt", (path) => writeFile(path, "{")],
	])("because it is %s is made again, nothing of its image goes, and what nobody needs does", async (_, damage) => {
		const builder = await makeBuilder(new FakeSandbox());
		const image = await built(builder, versionOf(1, "one"), "one");
		const orphan = await artifacts.images.putBlob(Buffer.from("nobody's"));
		await damage(manifestOf("default/hello:1"));
		await damage(manifestOf("base/node24:current"));
		await builder.collect();
		expect(mended.sort()).toEqual(["base/node24:current", "default/hello:1"]);
		expect(artifacts.images.resolve("default/hello:1")?.digest).toBe(image.digest);
		const { config, layers } = JSON.parse((await artifacts.images.readBlob(image.digest)).toString());
		for (const { digest } of [config, ...layers]) expect(await artifacts.images.hasBlob(digest)).toBe(true);
		expect(await artifacts.images.hasBlob(orphan.digest)).toBe(false);
	});

	test("of a version that was deleted takes its name along", async () => {
		const builder = await makeBuilder(new FakeSandbox());
		const before = await blobs();
		await builder.build(versionOf(1), sourceOf("one"));
		await rm(manifestOf("default/hello:1"));
		await builder.collect();
		expect([builder.functions(), await blobs()]).toEqual([[], before]);
	});

	test("of a version whose build hasn't ended stops the collection, and names it: what it needs isn't known yet", async () => {
		const builder = await makeBuilder(new FakeSandbox());
		const version = versionOf(1);
		await builder.build(version, sourceOf("one"));
		recorded.set("default/hello:1", version);
		const orphan = await artifacts.images.putBlob(Buffer.from("nobody's"));
		await rm(manifestOf("default/hello:1"));
		await expect(builder.collect()).rejects.toThrow("default/hello:1");
		expect(await artifacts.images.hasBlob(orphan.digest)).toBe(true);
		await built(builder, version, "one");
		await builder.collect();
		expect(await artifacts.images.hasBlob(orphan.digest)).toBe(false);
	});
});

test("a build looks for the base's layers, and says which one isn't there", async () => {
	const builder = await makeBuilder(new FakeSandbox());
	const [layer] = (await built(builder, versionOf(1), "one")).base.layers;
	await artifacts.images.removeBlob(layer?.digest as Digest);
	await expect(builder.build(versionOf(2), sourceOf("one"))).rejects.toMatchObject({ code: "build_platform_error" });
});
