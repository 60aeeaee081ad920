import { copyFile, cp, link, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Layer } from "@berth/contracts";
import { LayerStore } from "../../../packages/launcher/src/layers.js";
import { makeFunctionsImage } from "../../conformance/functions-image.js";
import { blobsIn } from "../../conformance/layers.js";
import type { GuestParts } from "./debian.js";
import { bundleProgram, makeImage, makeRoot, PROJECT } from "./guest-files.js";

const CHECKS = fileURLToPath(new URL("../../guest/engine.ts", import.meta.url));
/** What the launcher starts, and the guest's own first process. */
const PROGRAMS = ["crun", "unshare", "mount", "umount", "setpriv", "apparmor_parser"] as const;
const IMAGE_MIB = 768;

/**
 * Makes an image with no more in it than a launcher and a worker's pool need: both in one file each, Node, an OCI runtime, and the
 * layers of a base, unpacked. Nothing is mounted for it.
 */
export async function makeEngineImage(image: string, staging: string, parts: GuestParts): Promise<void> {
	await makeRoot(staging, parts, { programs: PROGRAMS, modules: ["fs/overlayfs/overlay"] });
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

/** The base is there, as if a launcher had unpacked it; the functions' layer is a blob yet. */
async function addLayers(staging: string): Promise<void> {
	const directory = `${staging}-artifacts`;
	const { image, blobs } = await makeFunctionsImage(directory);
	const launcher = join(staging, "var/lib/berth/launcher");
	await mkdir(launcher, { recursive: true });
	const store = new LayerStore(launcher);
	const layers = blobsIn(blobs);
	for (const { digest } of image.base.layers) {
		const receiver = await store.receive(digest);
		for await (const chunk of layers(digest)) await receiver.write(chunk as Buffer);
		await receiver.finish();
	}
	const [runtime] = image.base.layers as [Layer];
	await link(join(store.path(runtime.digest), "usr/bin/node"), join(staging, "usr/bin/node"));
	await mkdir(join(staging, "berth/blobs"));
	for (const { digest } of image.layers) {
		const name = digest.slice("sha256:".length);
		await copyFile(join(blobs, name), join(staging, "berth/blobs", name));
	}
	await writeFile(join(staging, "berth/image.json"), JSON.stringify(image));
	await rm(directory, { recursive: true });
}
