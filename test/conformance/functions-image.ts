import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { type LayerEntry, storeImage } from "@berth/builder";
import type { ImageReference } from "@berth/contracts";
import { openArtifactStore } from "@berth/registry";
import { build } from "esbuild";
import { agentLayer, runtimeLayer } from "../../packages/builder/src/base-layers.js";
import { digestOfLayers, makeFunctionLayer } from "../../packages/builder/src/stored-layer.js";
import { FUNCTIONS } from "./promises.js";

const PROJECT = fileURLToPath(new URL("../../", import.meta.url));
const FIXTURES = join(PROJECT, "test/fixtures/functions");

/** The image that all promises are tried with, and where its bytes are. */
export interface FunctionsImage {
	readonly image: ImageReference;
	/** Directory of its blobs, by digest. */
	readonly blobs: string;
}

/** Node's base, of which nothing is made that a store has, and on it all fixtures as a build's bundles, each at `<name>/index.cjs`. */
export async function makeFunctionsImage(directory: string): Promise<FunctionsImage> {
	await mkdir(directory, { recursive: true });
	const artifacts = await openArtifactStore(directory);
	const stores = { images: artifacts.images, keys: artifacts.keys, inputs: new Set<string>() };
	const runtime = await runtimeLayer(join(PROJECT, "infra/runtimes"), "node24", stores);
	const agent = await agentLayer(join(PROJECT, "packages/agents/dist"), "/usr/bin/tini-static", "node", stores);
	const layers = [runtime.layer, agent.layer];
	const base = { digest: digestOfLayers(layers), layers };
	const own = await makeFunctionLayer(artifacts, "functions", await functionFiles());
	const { digest } = await storeImage(artifacts.images, [...layers, own], {});
	return { image: { digest, base, layers: [own], entry: "" }, blobs: join(directory, "oci/blobs/sha256") };
}

/** A build's bundle of each. */
async function functionFiles(): Promise<readonly LayerEntry[]> {
	const { outputFiles } = await build({
		entryPoints: FUNCTIONS.map((name) => join(FIXTURES, name, "index.ts")),
		outdir: "/",
		outbase: FIXTURES,
		outExtension: { ".js": ".cjs" },
		bundle: true,
		platform: "node",
		format: "cjs",
		write: false,
		logLevel: "error",
	});
	return outputFiles.map(({ path, contents }) => ({ path: path.slice(1), kind: "file", content: { bytes: contents } }));
}
