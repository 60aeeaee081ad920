import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openArtifactStore } from "@berth/registry";
import { expect, onTestFinished, test } from "vitest";
import { makeLayer } from "./stored-layer.js";

test("a layer that is made anew takes the place of a damaged one, also when that has its size", async () => {
	const directory = mkdtempSync(join(tmpdir(), "berth-layer-"));
	onTestFinished(() => rmSync(directory, { recursive: true }));
	const stores = await openArtifactStore(directory);
	const entries = [{ path: "index.mjs", kind: "file", content: { bytes: Buffer.from("export default () => 1;") } }] as const;
	const made = await makeLayer(stores, "layer:code:1", entries);
	const path = stores.images.blobPath(made.digest);
	const whole = readFileSync(path);
	for (const damaged of [Buffer.from(whole).fill(1, 600, 610), whole.subarray(0, 512)]) {
		writeFileSync(path, damaged);
		expect(await makeLayer(stores, "layer:code:1", entries)).toEqual(made);
		expect(readFileSync(path).equals(whole)).toBe(true);
	}
});
