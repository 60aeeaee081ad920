import { mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Digest, SANDBOX_PATHS } from "@berth/contracts";
import { openArtifactStore } from "@berth/registry";
import { afterEach, beforeEach, expect, test } from "vitest";
import { SourceMaps } from "./source-maps.js";
import { writeLayer } from "./tar-writer.js";

let directory: string;
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "maps-"));
});
afterEach(() => rm(directory, { recursive: true, force: true }));

/** Line 1, column 0 of the bundle is line 1, column 0 of src/a.ts; line 2, column 4 is line 3, column 6. */
const MAP = { version: 3, sources: ["src/a.ts"], names: [], mappings: "AAAA;IAEM" };
const at = (place: string) => `    at f (${SANDBOX_PATHS.code}/index.mjs:${place})`;

async function imageWith(map: string | undefined) {
	const { images } = await openArtifactStore(directory);
	const files = [["index.mjs", "x"], ...(map === undefined ? [] : [["index.mjs.map", map]])] as [string, string][];
	const entries = files.map(([path, text]) => ({ path, kind: "file" as const, content: { bytes: Buffer.from(text) } }));
	const { digest, sizeBytes } = await images.putBlob(writeLayer(entries));
	return { maps: new SourceMaps(images), image: { entry: "index.mjs", layers: [{ digest, sizeBytes }] } };
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
