import {
	type Base,
	BerthError,
	type Checked,
	CONTENT_TYPES,
	checkForeignManifest,
	checkImageConfig,
	checkImageManifest,
	type Digest,
	type ImageConfig,
	type ImageManifest,
	type Layer,
	type Manifest,
	type SourceReference,
} from "@berth/contracts";
import { ARCHITECTURE } from "./oci-image.js";
import { digestOfLayers } from "./stored-layer.js";

/** A layer as its image has it. */
export interface ImageLayer {
	/** Of the blob, which may be gzipped. */
	readonly digest: Digest;
	/** Bytes of the blob. */
	readonly size: number;
	readonly isGzipped: boolean;
	/** Of the tar. */
	readonly diffId: Digest;
}

/** What an image says about the function it is of: checked, but still whoever made it may have lied. */
export interface ReadImage {
	readonly manifest: Manifest;
	/** Its variables, as `labelledManifest` opens them; the manifest has none then. */
	readonly sealedEnv?: string;
	readonly source: SourceReference;
	readonly entry: string;
	/** How many layers, from the bottom, are the base. */
	readonly baseLayers: number;
	readonly layers: readonly ImageLayer[];
}

/** @throws BerthError `image_rejected` saying what isn't as Berth writes it */
export function readImageManifest(bytes: Uint8Array): ImageManifest {
	return accepted("manifest", checkImageManifest(bytes));
}

/** A manifest of any image, whoever made it. @throws BerthError `image_rejected` */
export function readForeignManifest(bytes: Uint8Array) {
	const checked = checkForeignManifest(bytes);
	if (checked.ok) return checked.value;
	throw new BerthError("image_rejected", `The image's manifest can't be read: ${checked.wrong}`);
}

/** The second step, with the config that the manifest names. @throws BerthError `image_rejected` */
export function readImage(manifest: ImageManifest, configBytes: Uint8Array): ReadImage {
	const config = accepted("config", checkImageConfig(configBytes));
	if (config.os !== "linux" || config.architecture !== ARCHITECTURE)
		throw rejected(`it is for ${config.os}/${config.architecture}`.slice(0, 100), `this node runs linux/${ARCHITECTURE}`);
	const labels = config.config.Labels;
	const layers = layersOf(manifest, config);
	const sealedEnv = labels["dev.berth.env"];
	return {
		...(sealedEnv === undefined ? {} : { sealedEnv }),
		manifest: labels["dev.berth.manifest"],
		source: labels["dev.berth.source"] as SourceReference,
		entry: labels["dev.berth.entry"],
		baseLayers: baseLayersOf(layers, labels["dev.berth.base"] as Digest),
		layers,
	};
}

/** The image's layers as this node keeps them, cut into base and the function's own. @param tars bottom first */
export function splitLayers({ baseLayers }: ReadImage, tars: readonly Layer[]): { readonly base: Base; readonly own: readonly Layer[] } {
	const layers = tars.slice(0, baseLayers);
	return { base: { digest: digestOfLayers(layers), layers }, own: tars.slice(baseLayers) };
}

function layersOf(manifest: ImageManifest, config: ImageConfig): readonly ImageLayer[] {
	const { diff_ids: diffIds } = config.rootfs;
	if (diffIds.length !== manifest.layers.length)
		throw rejected(`its config names ${diffIds.length} layers`, `its manifest has ${manifest.layers.length}`);
	return manifest.layers.map(({ mediaType, digest, size }, i) => {
		const isGzipped = CONTENT_TYPES.layer[mediaType] === "gzip";
		const diffId = diffIds[i] as Digest;
		if (!isGzipped && diffId !== digest) throw rejected(`its config says ${diffId} of layer ${i + 1}`, `its manifest says ${digest}`);
		return { digest: digest as Digest, size, isGzipped, diffId };
	});
}

/** The base is the lowest layers whose digests together make the label's: what it is called can't be something else. */
function baseLayersOf(layers: readonly ImageLayer[], base: Digest): number {
	for (let count = 1; count < layers.length; count++) {
		if (digestOfLayers(layers.slice(0, count).map(({ diffId: digest }) => ({ digest, sizeBytes: 0 }))) === base) return count;
	}
	throw rejected(`its label dev.berth.base is ${base}`, "none of its lower layers make that base");
}

function accepted<T>(document: string, checked: Checked<T>): T {
	if (checked.ok) return checked.value;
	throw new BerthError("image_rejected", `The image's ${document} isn't as Berth writes it: ${checked.wrong}`);
}

function rejected(found: string, but: string): BerthError {
	return new BerthError("image_rejected", `The image isn't taken: ${found}, but ${but}.`);
}
