import { existsSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import { BerthError, type Digest, INLINE_BODY_BYTES, MEDIA_TYPES } from "@berth/contracts";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import type { PayloadStore } from "./payload-store.js";
import { abandonArtifacts, openArtifactStore } from "./store.js";

let directory: string;

beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "artifacts-"));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const bytes = (text: string) => Buffer.from(text);

/** Puts a payload as it would have been put some time ago. */
async function put(store: PayloadStore, content: Uint8Array | string, msAgo: number): Promise<string> {
	vi.useFakeTimers({ toFake: ["Date"], now: Date.now() - msAgo });
	try {
		return await store.put(Buffer.from(content));
	} finally {
		vi.useRealTimers();
	}
}

async function storeImage(text: string) {
	const { images } = await openArtifactStore(directory);
	const layer = await images.putBlob(bytes(`layer ${text}`));
	const config = await images.putBlob(bytes(`{"of":"${text}"}`));
	const manifest = {
		schemaVersion: 2,
		mediaType: MEDIA_TYPES.manifest,
		config: { mediaType: MEDIA_TYPES.config, digest: config.digest, size: config.sizeBytes },
		layers: [{ mediaType: MEDIA_TYPES.layer, digest: layer.digest, size: layer.sizeBytes }],
	};
	const { digest, sizeBytes } = await images.putBlob(bytes(JSON.stringify(manifest)));
	return { layer, manifest: { mediaType: MEDIA_TYPES.manifest, digest, size: sizeBytes } };
}

test("a source comes back byte for byte, in another process too", async () => {
	const digest = await (await openArtifactStore(directory)).sources.put(bytes("export default 1"));
	const { sources } = await openArtifactStore(directory);
	expect((await sources.get(digest)).toString()).toBe("export default 1");
	expect(await sources.has(digest)).toBe(true);
	await sources.remove(digest, async () => true);
	expect(await sources.has(digest)).toBe(true);
	// Put and recorded by somebody while it is removed.
	let asked = 0;
	await sources.remove(digest, async () => asked++ > 0);
	expect(await sources.has(digest)).toBe(true);
	await sources.remove(digest, async () => false);
	expect(await sources.has(digest)).toBe(false);
	await expect(sources.get(digest)).rejects.toThrow(BerthError);
});

test("a source that was out of the way when its process was killed comes back if it is of use, and goes if not", async () => {
	const { sources } = await openArtifactStore(directory);
	const used = await sources.put(bytes("used"));
	const useless = await sources.put(bytes("useless"));
	for (const digest of [used, useless]) {
		const path = join(directory, "sources/sha256", digest.slice("sha256:".length));
		utimesSync(path, 0, 0);
		renameSync(path, `${path}.going`);
	}
	await sources.sweep(async (digest) => digest === useless, 60_000);
	expect((await sources.get(used)).toString()).toBe("used");
	expect(readdirSync(join(directory, "sources/sha256"))).toEqual([used.slice("sha256:".length)]);
});

test("a digest that could lead elsewhere is refused", async () => {
	const { sources } = await openArtifactStore(directory);
	await expect(async () => sources.get("sha256:../../../../etc/passwd" as Digest)).rejects.toThrow("isn't a sha256 digest");
});

test("a blob that is there is left untouched: same inode, same time", async () => {
	const { images } = await openArtifactStore(directory);
	const first = await images.putBlob(bytes("same"));
	const before = statSync(images.blobPath(first.digest));
	async function* inPieces() {
		yield bytes("sa");
		yield bytes("me");
	}
	const second = await (await openArtifactStore(directory)).images.putBlob(inPieces());
	const after = statSync(images.blobPath(first.digest));
	expect(second).toEqual({ ...first, existed: true });
	expect([after.ino, after.mtimeMs]).toEqual([before.ino, before.mtimeMs]);
	expect(after.mode & 0o777).toBe(0o644);
});

test("a corrupt blob is an error and is gone afterwards, so that it can be made again", async () => {
	const { images } = await openArtifactStore(directory);
	const { digest } = await images.putBlob(bytes("right"));
	writeFileSync(images.blobPath(digest), "wrong");
	await expect(images.readBlob(digest)).rejects.toThrow("corrupt");
	expect(await images.hasBlob(digest)).toBe(false);
	expect((await images.putBlob(bytes("right"))).existed).toBe(false);
});

test("a corrupt blob that is read in pieces is an error at its end, and gone; a missing one is an error too", async () => {
	const { images } = await openArtifactStore(directory);
	const content = Buffer.alloc(3_000_000, "x");
	const { digest } = await images.putBlob(content);
	const read = async () => buffer(images.streamBlob(digest));
	expect((await read()).equals(content)).toBe(true);
	writeFileSync(images.blobPath(digest), Buffer.alloc(content.length, "y"));
	await expect(read()).rejects.toThrow("corrupt");
	expect(await images.hasBlob(digest)).toBe(false);
	await expect(read()).rejects.toThrow("There is no blob");
});

test("who ends in the middle of a write takes what it had written of it along, and nobody else's", async () => {
	const { images } = await openArtifactStore(directory);
	const begun = Promise.withResolvers<void>();
	const goesOn = Promise.withResolvers<void>();
	async function* slow() {
		yield bytes("half");
		begun.resolve();
		await goesOn.promise;
	}
	const writing = images.putBlob(slow()).catch((error: unknown) => error);
	await begun.promise;
	const others = join(directory, "incoming", `${process.ppid}.writing`);
	writeFileSync(others, "half");
	expect(readdirSync(join(directory, "incoming"))).toHaveLength(2);
	abandonArtifacts(directory);
	expect(readdirSync(join(directory, "incoming"))).toEqual([`${process.ppid}.writing`]);
	goesOn.resolve();
	expect(await writing).toBeInstanceOf(Error);
});

test("nothing half-written stays: neither of a failed write nor of a process that died", async () => {
	const { images } = await openArtifactStore(directory);
	async function* breaking() {
		yield bytes("half");
		throw new Error("the source broke");
	}
	await expect(images.putBlob(breaking())).rejects.toThrow("the source broke");
	expect(readdirSync(join(directory, "incoming"))).toEqual([]);
	const dead = join(directory, "incoming", "4194999.leftover");
	const alive = join(directory, "incoming", `${process.ppid}.writing`);
	for (const path of [dead, alive]) writeFileSync(path, "half");
	await openArtifactStore(directory);
	expect([existsSync(dead), existsSync(alive)]).toEqual([false, true]);
});

test("the directory is an OCI image layout", async () => {
	const { manifest } = await storeImage("one");
	await (await openArtifactStore(directory)).images.tag("default/hello:3", manifest);
	expect(JSON.parse(readFileSync(join(directory, "oci/oci-layout"), "utf8"))).toEqual({ imageLayoutVersion: "1.0.0" });
	expect(JSON.parse(readFileSync(join(directory, "oci/index.json"), "utf8"))).toEqual({
		schemaVersion: 2,
		mediaType: MEDIA_TYPES.index,
		manifests: [{ ...manifest, annotations: { "org.opencontainers.image.ref.name": "default/hello:3" } }],
	});
	expect((await openArtifactStore(directory)).images.resolve("default/hello:3")?.digest).toBe(manifest.digest);
});

test("names given at the same time are all kept, and a reader doesn't write the index", async () => {
	const { manifest } = await storeImage("one");
	const { images } = await openArtifactStore(directory);
	await Promise.all(Array.from({ length: 20 }, (_, i) => images.tag(`default/hello:${i}`, manifest)));
	const before = statSync(join(directory, "oci/index.json")).ino;
	const reader = (await openArtifactStore(directory)).images;
	expect(statSync(join(directory, "oci/index.json")).ino).toBe(before);
	expect(reader.tags()).toHaveLength(20);
	expect(() => images.tag("../escape", manifest)).toThrow("can't name an image");
});

/** Where no manifest is to be found unreadable. */
const unmendable = (name: string): Promise<void> => Promise.reject(new Error(`${name} can't be read`));

test("collecting keeps what a name leads to, waits for who holds, and removes the rest", async () => {
	const kept = await storeImage("kept");
	const dropped = await storeImage("dropped");
	const { images } = await openArtifactStore(directory);
	await images.tag("default/kept:1", kept.manifest);
	await images.tag("default/dropped:1", dropped.manifest);
	expect(await images.collect(unmendable)).toBe(0);
	await images.untag("default/dropped:1");
	const hold = await images.hold();
	const collected = images.collect(unmendable);
	expect(await Promise.race([collected, images.hasBlob(dropped.layer.digest)])).toBe(true);
	hold[Symbol.dispose]();
	expect(await collected).toBe(3);
	expect([await images.hasBlob(kept.layer.digest), await images.hasBlob(dropped.layer.digest)]).toEqual([true, false]);
});

test("a body comes back byte for byte, whatever is in it", async () => {
	const { payloads } = await openArtifactStore(directory);
	const bodies = fc.oneof(
		fc.uint8Array({ maxLength: 64 }),
		fc.string({ unit: "binary", maxLength: 64 }).map((text) => bytes(`\ufeff${text}`)),
	);
	await fc.assert(
		fc.asyncProperty(bodies, async (body) => {
			expect((await payloads.getBody(await payloads.putBody(body))).equals(body)).toBe(true);
		}),
	);
});

test("a body goes into the message while it is small, and onto disk beyond that, until it is removed", async () => {
	const { payloads } = await openArtifactStore(directory);
	expect(await payloads.putBody(bytes("é"))).toEqual({ text: "é" });
	expect(await payloads.putBody(Uint8Array.of(0xff))).toEqual({ base64: "/w==" });
	const [most, more] = [Buffer.alloc(INLINE_BODY_BYTES, "x"), Buffer.alloc(INLINE_BODY_BYTES + 1, "x")];
	expect(await payloads.putBody(most)).toEqual({ text: most.toString() });
	const large = await payloads.putBody(more);
	expect(large).toEqual({ payload: expect.any(String), sizeBytes: more.length });
	expect((await payloads.getBody(large)).equals(more)).toBe(true);
	await payloads.removeBody(large);
	await payloads.removeBody({ text: "é" });
	expect(readdirSync(join(directory, "payloads"))).toEqual([]);
});

test("payloads live under keys that lead nowhere else, and old ones are swept", async () => {
	const { payloads } = await openArtifactStore(directory);
	const [old, fresh] = [await put(payloads, "old", 61_000), await payloads.put(bytes("fresh"))];
	expect((await payloads.get(fresh)).toString()).toBe("fresh");
	expect(await payloads.sweep(60_000)).toBe(1);
	await expect(payloads.get(old)).rejects.toThrow("There is no payload");
	expect(await payloads.find(old)).toBeUndefined();
	for (const key of ["", "../index", `${old}/..`, "A".repeat(32)])
		await expect(async () => payloads.get(key)).rejects.toThrow("isn't the key");
	await payloads.remove(fresh);
	await payloads.remove(fresh);
});

test("what a key was reserved for is there once it is put, and counts with what was reserved", async () => {
	const { logs } = await openArtifactStore(directory, {
		budgets: { queuedBytes: 10, requestBytes: 10, resultBytes: 10, logBytes: 1000, deliveryBytes: 10 },
	});
	const [first, second] = [logs.reserve(600), logs.reserve(600)];
	expect(await logs.find(first)).toBeUndefined();
	await logs.putReserved(first, bytes("one"));
	expect((await logs.get(first)).toString()).toBe("one");
	await logs.putReserved(second, bytes("two"));
	expect([await logs.find(first), (await logs.get(second)).toString()]).toEqual([undefined, "two"]);
});

describe("a budget", () => {
	const MIB = 1024 * 1024;
	const BUDGETS = { queuedBytes: 10 * MIB, requestBytes: 10 * MIB, resultBytes: 10 * MIB, logBytes: 10 * MIB, deliveryBytes: 10 * MIB };
	const open = () => openArtifactStore(directory, { budgets: BUDGETS });
	const mib = Buffer.alloc(MIB);

	test("of what somebody still needs refuses more, removes nothing, and takes more as soon as there is room", async () => {
		const { queued } = await open();
		const held = [];
		for (let i = 0; i < 10; i++) held.push(await queued.put(mib, "durable"));
		await expect(queued.put(bytes("x"))).rejects.toMatchObject({ code: "storage_full", entry: { status: 507 } });
		for (const key of held) expect((await queued.get(key)).length).toBe(MIB);
		// Another process settles some.
		const { queued: theirs } = await open();
		for (const key of held.slice(0, 2)) await theirs.remove(key);
		await expect.poll(() => queued.put(mib).catch(() => undefined)).toBeDefined();
		expect(await queued.putBody(bytes("small ones aren't on disk"))).toEqual({ text: "small ones aren't on disk" });
	});

	test.each(["results", "logs"] as const)("of %s is kept by removing the oldest", async (name) => {
		const store = (await open())[name];
		for (const ageMs of [3000, 2000, 1000]) await put(store, mib, ageMs);
		const young = [];
		for (let i = 0; i < 8; i++) young.push(await store.put(mib));
		await expect.poll(() => readdirSync(join(directory, name)).length).toBeLessThanOrEqual(9);
		// The tenth and the eleventh MiB have the store cut to eight tenths.
		for (const key of young) expect(await store.has(key)).toBe(true);
	});

	test("counts what was there before, and holds when many write at once", async () => {
		const { results } = await open();
		for (let i = 0; i < 10; i++) await put(results, mib, 1000 - i);
		const { results: next } = await open();
		await Promise.all(Array.from({ length: 30 }, () => next.put(mib)));
		await next.put(mib);
		expect(readdirSync(join(directory, "results")).length).toBeLessThanOrEqual(10);
	});
});

test("what was made from which inputs is remembered, and forgotten when it is of no use", async () => {
	const { keys } = await openArtifactStore(directory);
	await keys.put("a", { digest: "x" });
	await keys.put("b", { digest: "y" });
	expect(await (await openArtifactStore(directory)).keys.get("a")).toEqual({ digest: "x" });
	expect(await keys.prune((value) => (value as { digest: string }).digest === "y")).toBe(1);
	expect([await keys.get("a"), await keys.get("b")]).toEqual([undefined, { digest: "y" }]);
});

test("what root writes for another user is that user's", async ({ skip }) => {
	if (process.getuid?.() !== 0) skip("needs root");
	const { sources, images } = await openArtifactStore(directory, { owner: 64_770 });
	const digest = await sources.put(bytes("x"));
	const blob = await images.putBlob(bytes("y"));
	const paths = [
		"",
		"oci",
		"oci/index.json",
		"oci/blobs/sha256",
		"keys",
		"payloads",
		"queued",
		"results",
		"logs",
		"incoming",
		`sources/sha256/${digest.slice(7)}`,
	].map((path) => join(directory, path));
	const owners = [...paths.slice(1), images.blobPath(blob.digest)].map((path) => statSync(path).uid);
	expect(new Set(owners)).toEqual(new Set([64_770]));
});
