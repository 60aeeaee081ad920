import { ARCHITECTURE, type LayerEntry, readForeignManifest, writeLayer } from "@berth/builder";
import { BerthError, type Digest, IMAGE_LIMITS, MIB, sizeText } from "@berth/contracts";
import type { ImageStore } from "@berth/registry";
import type { Registries } from "./registries.js";

/** What the tar may have beside the blobs: its headers, and what fills their blocks. */
const FRAME_BYTES = MIB;

/**
 * An image of somebody else's, out of a registry that the operator allows, as a tar in OCI's layout. All of it was checked against
 * its digests; what is in it is looked at in a build's sandbox alone. Blobs come by way of a file: in memory is the tar, once.
 * @throws BerthError `invalid_request`, `image_not_found`, `image_rejected`, `registry_failed`
 */
export async function fetchImage(
	reference: string,
	project: string,
	registries: Registries,
	images: Pick<ImageStore, "scratchFile">,
): Promise<{ archive: Uint8Array; digest: Digest }> {
	const { repository, reference: tag } = registries.open(reference, "pull", project);
	const { bytes, digest } = await repository.readManifest(tag, ARCHITECTURE);
	const { config, layers } = readForeignManifest(bytes);
	const blobs = new Map([config, ...layers].map((one) => [one.digest as Digest, one.size]));
	const total = [...blobs.values()].reduce((sum, size) => sum + size, bytes.length);
	if (total > IMAGE_LIMITS.archiveBytes)
		throw new BerthError(
			"image_rejected",
			`${reference} has ${Math.ceil(total / MIB)} MiB, and an image may have ${sizeText(IMAGE_LIMITS.archiveBytes)} as it is packed: build it from a smaller one.`,
		);
	const index = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [{ digest, size: bytes.length }] }));
	const entries = [fileOf("index.json", { bytes: index }), fileOf(pathOf(digest), { bytes })];
	await using spool = await images.scratchFile();
	for (const [blob, size] of blobs) {
		const at = spool.sizeBytes;
		for await (const piece of repository.readBlob({ digest: blob, size })) await spool.append(piece);
		entries.push(fileOf(pathOf(blob), { file: spool.path, at, sizeBytes: size }));
	}
	const archive = Buffer.allocUnsafe(total + FRAME_BYTES);
	let filled = 0;
	for await (const piece of writeLayer(entries)) {
		archive.set(piece, filled);
		filled += piece.byteLength;
	}
	return { archive: archive.subarray(0, filled), digest };
}

function fileOf(path: string, content: Extract<LayerEntry, { kind: "file" }>["content"]): LayerEntry {
	return { path, kind: "file", content };
}

function pathOf(digest: Digest): string {
	return `blobs/${digest.replace(":", "/")}`;
}
