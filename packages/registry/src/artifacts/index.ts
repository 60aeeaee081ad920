import { join } from "node:path";
import { BlobDirectory } from "./blobs.js";
import { ImageLayout } from "./image-layout.js";
import { PayloadDirectory } from "./payloads.js";

export { type BlobDirectory, CorruptBlobError } from "./blobs.js";
export { isThere, openDirectory, writeDurably } from "./files.js";
export type { Descriptor, ImageLayout } from "./image-layout.js";
export type { PayloadDirectory } from "./payloads.js";

/** What isn't in Redis: sources, images, and bodies too large for a message. */
export interface ArtifactStore {
	/** The directory it is in. */
	readonly directory: string;
	readonly sources: BlobDirectory;
	readonly images: ImageLayout;
	readonly payloads: PayloadDirectory;
}

/** Opens the store in a directory, making what is missing. Holds no descriptor: there is nothing to close. */
export async function openArtifactStore(directory: string): Promise<ArtifactStore> {
	return {
		directory,
		sources: await BlobDirectory.open(join(directory, "sources", "sha256")),
		images: await ImageLayout.open(join(directory, "oci")),
		payloads: await PayloadDirectory.open(join(directory, "payloads")),
	};
}
