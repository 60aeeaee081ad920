import type { ImageReference, Manifest } from "@berth/contracts";

/** A version as a sandbox needs it. */
export interface Specialisation {
	/** Names the version in the pool: `project/function:7`. */
	readonly key: string;
	readonly project: string;
	readonly function: string;
	readonly version: number;
	readonly image: ImageReference;
	readonly manifest: Manifest;
}

/** A version by its names. */
export type VersionNames = Pick<Specialisation, "project" | "function" | "version">;
