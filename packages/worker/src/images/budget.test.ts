import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { storeImage } from "@berth/builder";
import type { Digest, Layer, Version } from "@berth/contracts";
import { type ArtifactStore, openArtifactStore } from "@berth/registry";
import { createLogger } from "@berth/telemetry";
import { afterEach, beforeEach, expect, test } from "vitest";
import { ready } from "../testing/versions.js";
import { ImageBudget } from "./budget.js";

/** What no image is smaller than. */
const TOO_LITTLE = 1;

let directory: string;
let artifacts: ArtifactStore;
let versions: Version[];
beforeEach(async () => {
	directory = await mkdtemp(join(tmpdir(), "budget-"));
	artifacts = await openArtifactStore(directory);
	versions = [];
});
afterEach(() => rm(directory, { recursive: true }));

/** The next version of `f`, of one layer with that text; its copy is in the image repository. */
async function version(text: string): Promise<Digest> {
	const { digest, sizeBytes } = await artifacts.images.putBlob(Buffer.from(text));
	const layers: readonly Layer[] = [{ digest, sizeBytes }];
	const { manifest } = await storeImage(artifacts.images, layers, {});
	const number = versions.length + 1;
	await artifacts.images.tag(`default/f:${number}`, manifest, `2026-01-0${number}T00:00:00.000Z`);
	const { image, ...made } = ready("f");
	const copy = { state: "pushed", reference: "registry/all:f", at: "2026-01-01T00:00:00.000Z" } as const;
	versions.push({ ...made, number, image: { ...image, digest: manifest.digest, layers }, copy } as Version);
	return digest;
}

/** With the last version live. */
async function keep(): Promise<void> {
	const budget = new ImageBudget({
		bytes: TOO_LITTLE,
		images: artifacts.images,
		builder: { collect: async () => undefined },
		functions: {
			getFunction: async () => ({ latest: versions.length, aliases: [{ name: "live", weights: { [versions.length]: 100 } }] }) as never,
			getVersion: async (_project, _name, number) => versions[number - 1],
		},
		sandboxes: () => [],
		origin: { has: async () => true, read: () => Promise.reject(new Error("nothing is brought")) as never, onBrought: () => undefined },
		dropUnpacked: async () => undefined,
		log: createLogger("test", "silent"),
	});
	await budget.keep();
}

test("layers of a version that nobody wants are left to the image repository, those of the live one stay", async () => {
	const [old, live] = [await version("old"), await version("live")];
	await keep();
	expect(await artifacts.images.hasBlob(old)).toBe(false);
	expect(await artifacts.images.hasBlob(live)).toBe(true);
});

test("a version that nobody wants takes nothing from the live one that is the very same image", async () => {
	const other = await version("another");
	const [old, live] = [await version("same"), await version("same")];
	expect(versions[1]?.image?.digest).toBe(versions[2]?.image?.digest);
	await keep();
	expect(old).toBe(live);
	expect(await artifacts.images.hasBlob(live)).toBe(true);
	expect(await artifacts.images.hasBlob(other)).toBe(false);
});
