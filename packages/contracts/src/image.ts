import type { Digest } from "./units.js";

/** An uncompressed tar layer; its digest is also its diff id. */
export interface Layer {
	readonly digest: Digest;
	readonly sizeBytes: number;
}

/** The layers below a function's own, bottom first: runtime, then init and agent. */
export interface Base {
	/** Digest over the layers' digests: the base's identity. */
	readonly digest: Digest;
	readonly layers: readonly Layer[];
}

/** A built image, as everything after the builder knows it. */
export interface ImageReference {
	/** Digest of the OCI image manifest. */
	readonly digest: Digest;
	readonly base: Base;
	/** The function's own layers, bottom first (dependencies, then code). */
	readonly layers: readonly Layer[];
	/** The bundle inside the code layer, relative to its root. */
	readonly entry: string;
	/** Whether its own layers are a tenant's image: the root file system, rather than something on the base. */
	readonly isImage?: true;
}

/** Media types of the OCI image spec that we write and read. */
export const MEDIA_TYPES = {
	index: "application/vnd.oci.image.index.v1+json",
	manifest: "application/vnd.oci.image.manifest.v1+json",
	config: "application/vnd.oci.image.config.v1+json",
	layer: "application/vnd.oci.image.layer.v1.tar",
	empty: "application/vnd.oci.empty.v1+json",
	/** Ours: what a function was deployed as, the one layer of an artifact. */
	source: "application/vnd.berth.source.v1",
} as const;
