import type { Digest } from "@berth/contracts";

/** Where copies of this store's blobs are: a registry. */
export interface BlobOrigin {
	/** Verified: who reads it to its end without an error had the right bytes. @throws BerthError */
	read(digest: Digest): AsyncIterable<Uint8Array>;
	has(digest: Digest): Promise<boolean>;
	/** Told of each blob that had to be brought. */
	onBrought(digest: Digest, why: string): void;
}
