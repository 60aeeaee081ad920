import {
	existsSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	truncateSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Digest } from "@berth/contracts";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LayerStore } from "./layers.js";
import { digestOf, tar } from "./testing/tar.js";

const LAYER = tar({ name: "index.mjs", content: "export default 1" });
const DIGEST = digestOf(LAYER);

let directory: string;
let store: LayerStore;
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "layers-"));
	store = new LayerStore(directory);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

/** Everything that is kept of layers, beside the empty one. */
const kept = () => [
	...readdirSync(join(directory, "layers")).filter((name) => name !== "empty"),
	...readdirSync(join(directory, "incoming")),
];

async function bring(bytes: Uint8Array, digest: Digest = digestOf(bytes), chunk = 100): Promise<void> {
	const receiver = await store.receive(digest);
	for (let at = 0; at < bytes.length; at += chunk) await receiver.write(bytes.subarray(at, at + chunk));
	await receiver.finish();
}

describe("a layer", () => {
	test("is there when its last chunk was taken, unpacked, and nothing else stays", async () => {
		expect(store.has(DIGEST)).toBe(false);
		expect(() => store.path(DIGEST)).toThrow("isn't in the store");
		await bring(LAYER);
		expect(store.has(DIGEST)).toBe(true);
		expect(readFileSync(join(store.path(DIGEST), "index.mjs"), "utf8")).toBe("export default 1");
		expect(kept()).toHaveLength(1);
	});

	test("that isn't what its digest says is refused before it is unpacked, and nothing stays", async () => {
		const other = tar({ name: "evil", content: "x" });
		await expect(bring(other, DIGEST)).rejects.toThrow(`the layer's bytes are ${digestOf(other)}, not ${DIGEST}`);
		expect([store.has(DIGEST), kept()]).toEqual([false, []]);
	});

	test("that can't be unpacked leaves nothing, and can be brought again", async () => {
		const broken = tar({ name: "good", content: "x" }, { name: "link", type: "1", target: "/" });
		await expect(bring(broken)).rejects.toThrow("only files, directories and symbolic links");
		expect([store.has(digestOf(broken)), kept()]).toEqual([false, []]);
		await bring(LAYER);
		expect(store.has(DIGEST)).toBe(true);
	});

	test.each<[string, (path: string) => void]>([
		["written to", (path) => writeFileSync(join(path, "index.mjs"), "export default 2")],
		[
			"written to, with its time set back",
			(path) => {
				const { atime, mtime } = statSync(join(path, "index.mjs"));
				writeFileSync(join(path, "index.mjs"), "export default 2");
				utimesSync(join(path, "index.mjs"), atime, mtime);
			},
		],
		["cut short", (path) => truncateSync(join(path, "index.mjs"))],
		["robbed of a file", (path) => rmSync(join(path, "index.mjs"))],
		["added to", (path) => writeFileSync(join(path, "more"), "")],
	])("that was %s isn't believed by the next launcher, and can be brought again", async (_, damage) => {
		await bring(LAYER);
		damage(store.path(DIGEST));
		const damaged: Digest[] = [];
		store = new LayerStore(directory, (digest) => damaged.push(digest));
		expect([await store.isSound(DIGEST), damaged, store.has(DIGEST)]).toEqual([false, [DIGEST], false]);
		await bring(LAYER);
		store = new LayerStore(directory, (digest) => damaged.push(digest));
		expect([await Promise.all([store.isSound(DIGEST), store.isSound(DIGEST)]), damaged]).toEqual([[true, true], [DIGEST]]);
	});

	test("that two connections bring at the same time is there once", async () => {
		await Promise.all([bring(LAYER), bring(LAYER, DIGEST, 7), bring(LAYER)]);
		expect(kept()).toHaveLength(1);
		expect(readdirSync(store.path(DIGEST))).toEqual(["index.mjs"]);
	});

	test("that is there already stays as it is", async () => {
		await bring(LAYER);
		const path = store.path(DIGEST);
		writeFileSync(join(path, "mark"), "");
		await bring(LAYER);
		expect(existsSync(join(path, "mark"))).toBe(true);
	});

	test("whose connection ends half-way leaves nothing", async () => {
		const receiver = await store.receive(DIGEST);
		await receiver.write(LAYER.subarray(0, 100));
		await receiver.abort();
		expect(kept()).toEqual([]);
	});
});

describe("layers that nobody wanted for an hour", () => {
	const HOUR_MS = 3_600_000;
	const others = ["one", "two", "three"].map((name) => tar({ name, content: name }));
	const [one, two, three] = others.map(digestOf) as [Digest, Digest, Digest];
	const hoursAgo = (hours: number) => new Date(Date.now() - hours * HOUR_MS);

	async function bringAll(): Promise<void> {
		for (const bytes of others) await bring(bytes);
		for (const digest of [one, two, three]) utimesSync(store.path(digest), hoursAgo(2), hoursAgo(2));
	}

	test("go; what is mounted, what was asked for since and what came since stay", async () => {
		await bringAll();
		await bring(LAYER);
		expect(store.has(two)).toBe(true);
		expect(await store.drop(HOUR_MS, () => new Set([three]))).toBe(1);
		expect([one, two, three, DIGEST].map((digest) => store.has(digest))).toEqual([false, true, true, true]);
		expect(kept()).toHaveLength(3);
	});

	test("stay when a sandbox mounts them while others are removed", async () => {
		await bringAll();
		const dropping = store.drop(HOUR_MS, () => new Set());
		const mounted = [one, two, three].filter((digest) => store.has(digest));
		expect(mounted.length).toBeGreaterThan(0);
		expect(await dropping).toBe(3 - mounted.length);
		for (const digest of mounted) expect(readdirSync(store.path(digest))).toHaveLength(1);
	});

	test("lose their stamps with their names: whoever brings one again while its files are removed keeps the new one", async () => {
		await bring(LAYER);
		utimesSync(store.path(DIGEST), hoursAgo(2), hoursAgo(2));
		const stamps = () => readdirSync(join(directory, "stamps"));
		const before = stamps();
		let atOnce: readonly string[] | undefined;
		await store.drop(HOUR_MS, () => {
			queueMicrotask(() => {
				atOnce = stamps();
			});
			return new Set();
		});
		expect([before.length, atOnce]).toEqual([1, []]);
	});

	test("can be brought again", async () => {
		await bringAll();
		expect(await store.drop(HOUR_MS, () => new Set())).toBe(3);
		await bring(others[0] as Buffer);
		expect(readFileSync(join(store.path(one), "one"), "utf8")).toBe("one");
	});
});

test("what a launcher that was killed had half-done is gone at the next start, whole layers stay", async () => {
	await bring(LAYER);
	await (await store.receive(DIGEST)).write(LAYER);
	mkdirSync(join(directory, "layers", "0123.half", "deep"), { recursive: true });
	const next = new LayerStore(directory);
	expect([next.has(DIGEST), kept()]).toEqual([true, [next.path(DIGEST).split("/").at(-1)]]);
});
