import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { tarGz } from "../harness/archives.js";
import { Deployed, freshName } from "../harness/functions.js";
import { sharedStack } from "../harness/shared-stack.js";

const stack = await sharedStack();
const FIXTURE = join(import.meta.dirname, "../fixtures/dependencies/native");

/** The fixture's files, with a line more in its source. */
async function deployNative(line: string): Promise<Deployed> {
	const files = readdirSync(FIXTURE).map((path) => ({
		path,
		body: readFileSync(join(FIXTURE, path), "utf8") + (path === "index.ts" ? line : ""),
	}));
	const name = freshName("native");
	const { version } = await stack.client.deployArchive(name, { kind: "tar.gz", bytes: tarGz(...files), manifest: { memoryMiB: 256 } });
	return new Deployed(stack, name, version);
}

it("native packages of npm's own registry work: installed once, the plain ones beside them bundled", async () => {
	const made = await deployNative("");
	expect(await made.result({ text: "hello", width: 7 })).toEqual({ crc: 907060870, width: 7, format: "png", ms: 172_800_000 });
	const layer = made.version.build?.layers.find(({ name }) => name === "dependencies");
	expect(layer).toMatchObject({ inImage: true });
	expect(layer?.sizeBytes).toBeGreaterThan(10 * 1024 * 1024);
	const again = await deployNative("\n// changed\n");
	expect(again.version.build?.layers).toContainEqual({ ...layer, cached: true });
	expect(again.version.image?.layers[0]).toEqual(made.version.image?.layers[0]);
	expect(await again.result({ text: "hello", width: 9 })).toMatchObject({ width: 9 });
}, 180_000);
