import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Digest, SANDBOX_PATHS } from "@berth/contracts";
import { openArtifactStore } from "@berth/registry";
import { afterEach, beforeEach, expect, test } from "vitest";
import { StackRemapper } from "./stack-remapper.js";
import { placeInImage } from "./stored-layer.js";
import { writeLayer } from "./tar-writer.js";

/** A thread runs what is compiled. */
const PROGRAM = new URL("../dist/source-map-thread.js", import.meta.url);

let directory: string;
const remappers: StackRemapper[] = [];
const failures: Error[] = [];
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "maps-"));
});
afterEach(async () => {
	for (const remapper of remappers.splice(0)) await remapper.close();
	await rm(directory, { recursive: true, force: true });
	expect(failures).toEqual([]);
});

/** Line 1, column 0 of the bundle is line 1, column 0 of src/a.ts; line 2, column 4 is line 3, column 6. */
const MAP = { version: 3, sources: ["src/a.ts"], names: [], mappings: "AAAA;IAEM" };
const at = (place: string) => `    at f (${SANDBOX_PATHS.code}/index.mjs:${place})`;

async function imageWith(map: string | undefined) {
	const { images } = await openArtifactStore(directory);
	const files = [["index.mjs", "x"], ...(map === undefined ? [] : [["index.mjs.map", map]])] as [string, string][];
	const entries = files.map(([path, text]) => ({ path: placeInImage(path), kind: "file" as const, content: { bytes: Buffer.from(text) } }));
	const { digest, sizeBytes } = await images.putBlob(writeLayer(entries));
	const maps = new StackRemapper(images, (error) => failures.push(error), { program: PROGRAM, waitMs: 20_000 });
	remappers.push(maps);
	return { maps, image: { entry: "index.mjs", layers: [{ digest, sizeBytes }] } };
}

test("places in the bundle become places in the source; all else stays", async () => {
	const { maps, image } = await imageWith(JSON.stringify(MAP));
	const stack = ["TypeError: no", at("1:1"), `    at file://${SANDBOX_PATHS.code}/index.mjs:2:5`, "    at node:internal/x:1:2"].join("\n");
	expect(await maps.remap(image, stack)).toBe(
		["TypeError: no", "    at f (src/a.ts:1:1)", "    at src/a.ts:3:7", "    at node:internal/x:1:2"].join("\n"),
	);
	expect(await maps.remap(image, stack)).toContain("src/a.ts:3:7");
});

test.each([
	["none", undefined],
	["broken", "{"],
	["no map", '"x"'],
	["of broken mappings", JSON.stringify({ ...MAP, mappings: 5 })],
])("with a map that is %s the stack stays as it is", async (_, map) => {
	const { maps, image } = await imageWith(map);
	const stack = at("1:1");
	expect(await maps.remap(image, stack)).toBe(stack);
});

test("a layer that is gone costs the places, not the error", async () => {
	const { maps } = await imageWith(undefined);
	const gone = { entry: "index.mjs", layers: [{ digest: `sha256:${"0".repeat(64)}` as Digest, sizeBytes: 1 }] };
	expect(await maps.remap(gone, at("1:1"))).toBe(at("1:1"));
});

test("a layer that couldn't be read once is read again: its places aren't lost for good", async () => {
	const { maps, image } = await imageWith(JSON.stringify(MAP));
	const { images } = await openArtifactStore(directory);
	const path = images.blobPath(image.layers[0]?.digest as Digest);
	await rename(path, `${path}.away`);
	expect(await maps.remap(image, at("1:1"))).toBe(at("1:1"));
	await rename(`${path}.away`, path);
	expect(await maps.remap(image, at("1:1"))).toContain("src/a.ts:1:1");
});

test("a stack of a thousand frames is remapped as far as people read", async () => {
	const { maps, image } = await imageWith(JSON.stringify(MAP));
	const remapped = await maps.remap(image, Array.from({ length: 1000 }, () => at("1:1")).join("\n"));
	expect(remapped.match(/src\/a\.ts/g)).toHaveLength(200);
});

test("a large map is read beside everything else, and once for all who want it at the same time", async () => {
	// A segment for every five bytes: as dense as it gets.
	const dense = JSON.stringify({ ...MAP, mappings: `${MAP.mappings};${"AAAA,".repeat(800_000).slice(0, -1)}` });
	const { maps, image } = await imageWith(dense);
	let turns = 0;
	let over = false;
	const turn = () => {
		turns++;
		if (!over) setImmediate(turn);
	};
	setImmediate(turn);
	const remapped = await Promise.all(Array.from({ length: 20 }, () => maps.remap(image, at("1:1"))));
	over = true;
	expect(new Set(remapped)).toEqual(new Set(["    at f (src/a.ts:1:1)"]));
	// Read where everybody waits, it would be a few turns.
	expect(turns).toBeGreaterThan(100);
});

test("a flood of stacks is taken as far as it can be; the rest stays as it is, and the next one is remapped again", async () => {
	const { maps, image } = await imageWith(JSON.stringify(MAP));
	const flood = await Promise.all(Array.from({ length: 1000 }, () => maps.remap(image, at("1:1"))));
	expect(new Set(flood)).toEqual(new Set(["    at f (src/a.ts:1:1)", at("1:1")]));
	expect(await maps.remap(image, at("1:1"))).toContain("src/a.ts:1:1");
});

test("a thread that ends costs the places of those who wait for it; the next stack has another", async () => {
	const { maps, image } = await imageWith(JSON.stringify(MAP));
	const waiting = maps.remap(image, at("1:1"));
	await maps.close();
	expect([at("1:1"), "    at f (src/a.ts:1:1)"]).toContain(await waiting);
	expect(await maps.remap(image, at("1:1"))).toContain("src/a.ts:1:1");
});
