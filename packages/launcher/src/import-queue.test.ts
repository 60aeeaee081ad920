import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ImportQueue } from "./import-queue.js";
import { LayerStore } from "./layers.js";
import { digestOf, tar } from "./testing/tar.js";

const LAYER = tar({ name: "index.mjs", content: "export default 1" });
const OTHER = tar({ name: "index.mjs", content: "export default 2" });

let directory: string;
let store: LayerStore;
let queue: ImportQueue;
let troubles: string[];
beforeEach(() => {
	directory = mkdtempSync(join(tmpdir(), "import-queue-"));
	store = new LayerStore(directory);
	troubles = [];
	queue = new ImportQueue(store, (message) => void troubles.push(message));
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

const take = (layer: Uint8Array, last: boolean, chunk = layer) => queue.take({ digest: digestOf(layer), last }, chunk);
const incoming = () => readdirSync(join(directory, "incoming"));

/** What is unfinished can't be removed any more. */
function lose(): void {
	for (const name of incoming()) rmSync(join(directory, "incoming", name));
}

test("a layer that broke off leaves nothing, and nothing of it in the next one", async () => {
	await take(LAYER, false, LAYER.subarray(0, 100));
	await take(OTHER, true);
	expect([store.has(digestOf(LAYER)), store.has(digestOf(OTHER)), incoming()]).toEqual([false, true, []]);
	await take(LAYER, false, LAYER.subarray(0, 100));
	await queue.abort();
	expect([incoming(), troubles]).toEqual([[], []]);
});

test("what a lost connection leaves and can't be removed is told: it ends nobody", async () => {
	await take(LAYER, false, LAYER.subarray(0, 100));
	lose();
	await queue.abort();
	expect(troubles).toEqual(["an unfinished layer couldn't be removed; the next launcher removes it"]);
});

test("what can't be removed doesn't keep the next layer from coming", async () => {
	await take(LAYER, false, LAYER.subarray(0, 100));
	lose();
	await take(OTHER, true);
	expect([store.has(digestOf(OTHER)), troubles.length]).toEqual([true, 1]);
});
