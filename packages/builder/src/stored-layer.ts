import { createHash } from "node:crypto";
import { type Digest, isDigest, type Layer, SANDBOX_PATHS } from "@berth/contracts";
import type { ArtifactStore } from "@berth/registry";
import { fitsLayer, type LayerEntry, writeLayer } from "./tar-writer.js";

/** Changes when the same inputs become another tar. */
const FORMAT = 2;

/** The stores a layer needs: its blob, and the memory of what it was made from. */
export type LayerStores = Pick<ArtifactStore, "images" | "keys">;

export interface StoredLayer {
	readonly layer: Layer;
	/** Whether it was there and nothing was made. */
	readonly cached: boolean;
}

/** A key over everything a layer is made from, in any JSON shape. */
export function layerKey(kind: string, inputs: unknown): string {
	const hash = createHash("sha256").update(JSON.stringify([FORMAT, kind, inputs]));
	return `layer:${kind}:${hash.digest("hex")}`;
}

/** The layer that was made under a key before, if its blob is still there. */
export async function findLayer({ images, keys }: LayerStores, key: string): Promise<(Layer & { readonly note: unknown }) | undefined> {
	const known = (await keys.get(key)) as { digest?: unknown; sizeBytes?: unknown; note?: unknown } | undefined;
	if (typeof known?.digest !== "string" || !isDigest(known.digest)) return undefined;
	const sizeBytes = await images.blobSize(known.digest);
	if (sizeBytes === undefined || sizeBytes !== known.sizeBytes) return undefined;
	return { digest: known.digest, sizeBytes, note: known.note };
}

/** Makes a layer and remembers its key. A blob that is there already is read through: one that is damaged gives way to this one. */
export async function makeLayer(
	{ images, keys }: LayerStores,
	key: string,
	entries: readonly LayerEntry[],
	note?: unknown,
): Promise<Layer> {
	let blob = await images.putBlob(writeLayer(entries));
	if (blob.existed && !(await images.isIntact(blob.digest))) blob = await images.putBlob(writeLayer(entries));
	await keys.put(key, { digest: blob.digest, sizeBytes: blob.sizeBytes, note });
	return { digest: blob.digest, sizeBytes: blob.sizeBytes };
}

/**
 * Where a layer of a function's own has a file of the function's: at the place where it is loaded from, so that the image is a
 * root file system which any other engine runs, too.
 */
export function placeInImage(path: string): string {
	return `${SANDBOX_PATHS.code.slice(1)}/${path}`;
}

/** Whether a function's file has room in a layer. */
export function fitsFunctionLayer(path: string): boolean {
	return fitsLayer(placeInImage(path));
}

/** Makes a layer of a function's own: code, or dependencies. As `makeLayer`, with paths below where the function is loaded from. */
export function makeFunctionLayer(stores: LayerStores, key: string, entries: readonly LayerEntry[], note?: unknown): Promise<Layer> {
	const placed = entries.map((entry) => ({ ...entry, path: placeInImage(entry.path) }));
	return makeLayer(stores, key, placed, note);
}

/** Whether a layer that was made anew came out as the one of before, if there was one. */
export function reproductionOf(before: Layer | undefined, made: Layer): { readonly reproduced?: boolean } {
	return before === undefined ? {} : { reproduced: before.digest === made.digest };
}

/** Digest over the layers' digests, bottom first: the identity of a base. */
export function digestOfLayers(layers: readonly Layer[]): Digest {
	return `sha256:${createHash("sha256")
		.update(layers.map(({ digest }) => digest).join("\n"))
		.digest("hex")}`;
}
