import { mkdtemp, readdir, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Base, type BuildAnswer, type Digest, manifestSchema, type Version } from "@berth/contracts";
import { type ArtifactStore, openArtifactStore } from "@berth/registry";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Bases } from "./bases.js";
import type { BuildRun, BuildSandbox } from "./build-sandbox.js";
import { codeLayerKey } from "./code-layer.js";
import { ImageBuilder } from "./image-builder.js";
import { readFromLayer } from "./tar-reader.js";

let directory: string;
let artifacts: ArtifactStore;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "builder-"));
	artifacts = await openArtifactStore(directory);
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** Stands where a sandbox of the build class is: it answers as one that bundled. */
class FakeSandbox implements BuildSandbox {
	runs = 0;
	answer: (source: Uint8Array) => BuildRun | Promise<BuildRun> = (source) => bundled(Buffer.from(source).toString());

	async run(_request: unknown, source: Uint8Array): Promise<BuildRun> {
		this.runs++;
		return await this.answer(source);
	}
}

function bundled(text: string, more: Partial<Extract<BuildAnswer, { ok: true }>> = {}): BuildRun {
	const phases = { unpackMs: 1, bundleMs: 2, checkMs: 3 };
	const sizes = { bundleBytes: Buffer.byteLength(text), mapBytes: 2, cacheBytes: 0 };
	return {
		outcome: "answered",
		answer: { ok: true, ...sizes, entry: "index.mjs", warnings: [], phases, ...more },
		body: Buffer.from(`${text}{}`),
	};
}

async function makeBuilder(sandbox: BuildSandbox): Promise<ImageBuilder> {
	const layer = await artifacts.images.putBlob(Buffer.from("a base layer"));
	const base: Base = { digest: layer.digest, layers: [{ digest: layer.digest, sizeBytes: layer.sizeBytes }] };
	const bases: Bases = { node24: base, node22: base, build: base };
	return new ImageBuilder({ bases, stores: artifacts, sandbox, timeoutMs: 1000 });
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
		expect((await readFromLayer(artifacts.images.blobPath(code?.digest as Digest), "index.mjs"))?.toString()).toBe("code");
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
			report: { layers: expect.arrayContaining([{ name: "code", cached: true }]) },
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
		expect(await builder.build(versionOf(1), sourceOf("x"))).toMatchObject({ ok: false, failure: { code } });
		expect(await blobs()).toEqual(before);
		expect(artifacts.images.tags()).toEqual([]);
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

describe("what is removed", () => {
	test("takes along what nothing else needs, and nothing else", async () => {
		const builder = await makeBuilder(new FakeSandbox());
		await builder.build(versionOf(1, "one"), sourceOf("one"));
		const other = await builder.build(versionOf(1, "two", { function: "other" }), sourceOf("two"));
		await builder.removeFunction("default", "hello");
		expect(artifacts.images.tags().map(([tag]) => tag)).toEqual(["default/other:1"]);
		const kept = other.ok ? [...other.image.base.layers, ...other.image.layers].map(({ digest }) => digest) : [];
		// Two layers, config and manifest.
		expect(await blobs()).toHaveLength(4);
		for (const digest of kept) expect(await artifacts.images.hasBlob(digest)).toBe(true);
		expect(await readdir(join(directory, "keys"))).toHaveLength(1);
	});

	test("may be one version, of a function that was deleted while it was built", async () => {
		const builder = await makeBuilder(new FakeSandbox());
		const version = versionOf(1);
		await builder.build(version, sourceOf("one"));
		expect(builder.functions()).toEqual(["default/hello"]);
		await builder.removeVersion(version);
		expect(builder.functions()).toEqual([]);
		expect(await blobs()).toEqual([]);
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

test("the key of a code layer depends on what the bundle does, and on nothing else", () => {
	const version = versionOf(1);
	const key = (more: Partial<Version>, builder = "b") => codeLayerKey({ ...version, ...more }, builder);
	const same = key({});
	expect(key({ number: 9, createdAt: "later", manifest: { ...version.manifest, memoryMiB: 512, env: { A: "1" } } })).toBe(same);
	const others = [
		key({}, "another"),
		key({ manifest: { ...version.manifest, runtime: "node22" } }),
		key({ manifest: { ...version.manifest, entry: "a.ts" } }),
		key({ source: { ...version.source, filename: "index.js" } }),
		key({ source: { ...version.source, kind: "zip" } }),
		key({ source: { ...version.source, digest: `sha256:${"f".repeat(64)}` } }),
	];
	expect(new Set([same, ...others]).size).toBe(7);
});
