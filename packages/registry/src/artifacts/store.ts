import { join } from "node:path";
import { Deposit } from "./deposit.js";
import { ImageStore } from "./image-store.js";
import { KeyStore } from "./key-store.js";
import { PayloadStore } from "./payload-store.js";
import { SourceStore } from "./source-store.js";

/**
 * Everything of a deployment that isn't a record: sources and images by digest, what was built from
 * which inputs, and bodies that are too large for a message. One directory; several processes may
 * open it, but only one of them (the node's worker) tags and collects images.
 */
export interface ArtifactStore {
	readonly sources: SourceStore;
	readonly payloads: PayloadStore;
	readonly images: ImageStore;
	readonly keys: KeyStore;
}

export interface ArtifactStoreOptions {
	/** Numeric user and group that own what is written. Default: the process's own; anything else takes root. */
	readonly owner?: number;
}

/** Opens the store, makes its directories where they are missing, and removes what a crashed process left half-written. */
export async function openArtifactStore(directory: string, options: ArtifactStoreOptions = {}): Promise<ArtifactStore> {
	const deposit = await Deposit.open(join(directory, "incoming"), options.owner);
	return Object.freeze({
		sources: await SourceStore.open(join(directory, "sources", "sha256"), deposit),
		payloads: await PayloadStore.open(join(directory, "payloads"), deposit),
		images: await ImageStore.open(join(directory, "oci"), deposit),
		keys: await KeyStore.open(join(directory, "keys"), deposit),
	});
}
