import { mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Base } from "@berth/contracts";
import { openArtifactStore } from "@berth/registry";
import { expect, onTestFinished, test } from "vitest";
import { findBases, rememberBases } from "./known-bases.js";
import { type LayerStores, makeLayer } from "./stored-layer.js";

/** Bases of one layer, remembered as made of a tree, and of a link to a file beside it. */
async function remembered(
	sinceMs = Date.now() + 1000,
): Promise<{ stores: LayerStores; directory: string; bases: { readonly node24: Base } }> {
	const directory = mkdtempSync(join(tmpdir(), "berth-bases-"));
	onTestFinished(() => rmSync(directory, { recursive: true }));
	mkdirSync(join(directory, "tree/below"), { recursive: true });
	for (const name of ["tree/below/one", "python3.1", "python3.2"]) writeFileSync(join(directory, name), name);
	symlinkSync("python3.1", join(directory, "python"));
	const stores = await openArtifactStore(join(directory, "store"));
	const layer = await makeLayer(stores, "layer:runtime:1", [{ path: "a", kind: "file", content: { bytes: Buffer.from("a") } }]);
	const bases = { node24: { digest: layer.digest, layers: [layer] } };
	await rememberBases(stores, "bases:1", [join(directory, "tree"), join(directory, "python")], sinceMs, bases);
	return { stores, directory, bases };
}

test("bases are known while nothing has changed, under their name alone", async () => {
	const { stores, bases } = await remembered();
	expect(await findBases(stores, "bases:1")).toEqual(bases);
	expect(await findBases(stores, "bases:2")).toBeUndefined();
});

test.each([
	["is written anew, with its size and time", (at: string) => writeSameSize(join(at, "tree/below/one"))],
	["is gone", (at: string) => unlinkSync(join(at, "tree/below/one"))],
	["has come", (at: string) => writeFileSync(join(at, "tree/below/two"), "")],
	["is a link that leads elsewhere", (at: string) => relink(join(at, "python"))],
])("bases aren't known when a file that they were made of %s", async (_, change) => {
	const { stores, directory } = await remembered();
	change(directory);
	expect(await findBases(stores, "bases:1")).toBeUndefined();
});

test("bases whose layer is gone aren't known", async () => {
	const { stores, bases } = await remembered();
	rmSync(stores.images.blobPath(bases.node24.layers[0]?.digest ?? "sha256:"));
	expect(await findBases(stores, "bases:1")).toBeUndefined();
});

test("bases aren't remembered when something was changed while they were made: either may have gone in", async () => {
	const { stores } = await remembered(Date.now() - 1000);
	expect(await findBases(stores, "bases:1")).toBeUndefined();
});

function writeSameSize(path: string): void {
	writeFileSync(path, "x".repeat("tree/below/one".length));
	utimesSync(path, 0, 0);
}

function relink(path: string): void {
	unlinkSync(path);
	symlinkSync("python3.2", path);
}
