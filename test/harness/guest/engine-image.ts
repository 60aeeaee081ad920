import { createReadStream } from "node:fs";
import { copyFile, cp, link, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { LayerEntry } from "@berth/builder";
import { MIB } from "@berth/contracts";
import { openArtifactStore } from "@berth/registry";
import { build } from "esbuild";
import { agentLayer, runtimeLayer } from "../../../packages/builder/src/base-layers.js";
import { digestOfLayers, makeFunctionLayer } from "../../../packages/builder/src/stored-layer.js";
import { LayerStore } from "../../../packages/launcher/src/layers.js";
import type { GuestParts } from "./debian.js";
import { bundleProgram, makeImage, makeRoot, PROJECT } from "./guest-files.js";

const CHECKS = fileURLToPath(new URL("../../guest/engine.ts", import.meta.url));
const FIXTURES = fileURLToPath(new URL("../../fixtures/functions", import.meta.url));
/** What the launcher starts, and the guest's own first process. */
const PROGRAMS = ["crun", "unshare", "mount", "umount", "setpriv", "apparmor_parser"] as const;
const FUNCTIONS = ["sleeps", "fills-in-child", "stops-children", "burns", "leaves-process", "leaves-timer", "looks-around"];
const IMAGE_MIB = 768;

/**
 * Makes an image with no more in it than a launcher and a worker's pool need: both in one file each, Node, an OCI runtime, and the
 * layers of a base, unpacked. Nothing is mounted for it.
 */
export async function makeEngineImage(image: string, staging: string, parts: GuestParts): Promise<void> {
	await makeRoot(staging, parts, PROGRAMS);
	await bundleProgram(CHECKS, join(staging, "berth/main.mjs"));
	await bundleProgram(join(PROJECT, "packages/launcher/src/main.ts"), join(staging, "berth/launcher.mjs"));
	for (const name of ["koffi", "@koromix"]) {
		await cp(join(PROJECT, "node_modules", name), join(staging, "berth/node_modules", name), { recursive: true });
	}
	await cp(join(PROJECT, "infra/apparmor/berth-sandbox"), join(staging, "berth/berth-sandbox"));
	await cp("/etc/apparmor.d/abi/3.0", join(staging, "etc/apparmor.d/abi/3.0"));
	await addLayers(staging);
	await makeImage(image, staging, IMAGE_MIB);
}

/** The base is there, as if a launcher had unpacked it; the functions' layer is a tar yet. */
async function addLayers(staging: string): Promise<void> {
	const directory = `${staging}-artifacts`;
	const artifacts = await openArtifactStore(directory);
	const launcher = join(staging, "var/lib/berth/launcher");
	await mkdir(launcher, { recursive: true });
	const store = new LayerStore(launcher);
	const runtime = await runtimeLayer(join(PROJECT, "infra/runtimes"), "node24", artifacts);
	const agent = await agentLayer(join(PROJECT, "packages/agents/dist"), "/usr/bin/tini-static", "node", artifacts);
	const layers = [runtime.layer, agent.layer];
	for (const { digest } of layers) {
		const receiver = await store.receive(digest);
		for await (const chunk of createReadStream(artifacts.images.blobPath(digest), { highWaterMark: MIB }))
			await receiver.write(chunk as Buffer);
		await receiver.finish();
	}
	await link(join(store.path(runtime.layer.digest), "usr/bin/node"), join(staging, "usr/bin/node"));
	const functions = await makeFunctionLayer(artifacts, "functions", await functionFiles());
	await copyFile(artifacts.images.blobPath(functions.digest), join(staging, "berth/functions.tar"));
	await writeFile(join(staging, "berth/layers.json"), JSON.stringify({ base: { digest: digestOfLayers(layers), layers }, functions }));
	await rm(directory, { recursive: true });
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
