import { ARCHITECTURE, type LayerEntry, readForeignManifest, writeLayer } from "@berth/builder";
import { BerthError, type Digest, IMAGE_LIMITS } from "@berth/contracts";
import type { Registries } from "./registries.js";

/**
 * An image of somebody else's, out of a registry that the operator allows, as a tar in OCI's layout. All of it was checked against
 * its digests; what is in it is looked at in a build's sandbox alone.
 * @throws BerthError `invalid_request`, `image_not_found`, `image_rejected`, `registry_failed`
 */
export async function fetchImage(
	reference: string,
	project: string,
	registries: Registries,
): Promise<{ archive: Uint8Array; digest: Digest }> {
	const { repository, reference: tag } = registries.open(reference, "pull", project);
	const { bytes, digest } = await repository.readManifest(tag, ARCHITECTURE);
	const { config, layers } = readForeignManifest(bytes);
	const blobs = new Map([config, ...layers].map((one) => [one.digest as Digest, one.size]));
	const total = [...blobs.values()].reduce((sum, size) => sum + size, bytes.length);
	if (total > MOST_BYTES)
		throw new BerthError(
			"image_rejected",
			`${reference} has ${total} bytes, more than the ${MOST_BYTES} that an image may have as it is packed.`,
		);
	const index = Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [{ digest, size: bytes.length }] }));
	const entries = [fileOf("index.json", index), fileOf(pathOf(digest), bytes)];
	for (const [blob, size] of blobs) entries.push(fileOf(pathOf(blob), await repository.readDocument({ digest: blob, size })));
	const pieces: Uint8Array[] = [];
	for await (const piece of writeLayer(entries)) pieces.push(piece);
	return { archive: Buffer.concat(pieces), digest };
}

/** Headers of the tar have room, too. */
const MOST_BYTES = IMAGE_LIMITS.archiveBytes - 1024 * 1024;

function fileOf(path: string, bytes: Uint8Array): LayerEntry {
	return { path, kind: "file", content: { bytes } };
}

function pathOf(digest: Digest): string {
	return `blobs/${digest.replace(":", "/")}`;
}
