import { createHash } from "node:crypto";
import * as z from "zod";
import type { Manifest } from "./manifest.js";

const SIZE = "a whole number of MiB from 16 to 1048576";

/** What a volume may hold, MiB; its file system takes a part of it. */
export const VOLUME_MIB = { min: 16, max: 1 << 20, default: 1024 } as const;

/** `PUT /v1/volumes/{name}` */
export const volumeInputSchema = z.strictObject({
	sizeMiB: z.int(SIZE).min(VOLUME_MIB.min, SIZE).max(VOLUME_MIB.max, SIZE).default(VOLUME_MIB.default),
});
export type VolumeInput = z.input<typeof volumeInputSchema>;

/** `making` until its node has made it, `removing` until its node has removed it: either can be asked for again. */
export type VolumeState = "making" | "ready" | "removing";

/** A named volume of a project: files that stay, whatever becomes of sandboxes and versions. */
export interface Volume {
	readonly name: string;
	/** What its node calls it. */
	readonly id: string;
	readonly sizeMiB: number;
	readonly state: VolumeState;
	/** Where it is. */
	readonly node: string;
	/** ISO 8601. */
	readonly createdAt: string;
	/** Functions with a version that has it and hasn't failed, by name. */
	readonly functions: readonly string[];
}

/** `GET /v1/volumes` */
export interface VolumeList {
	readonly volumes: readonly Volume[];
}

/** Volumes of one project. */
export const MOST_VOLUMES = 100;

/** What all volumes of a node may have unless the operator says otherwise, MiB. */
export const VOLUMES_MIB = 16_384;

/** The part of their disk that no volume takes: one in so many. */
export const VOLUMES_LEAVE_FREE = 20;

/** Where a sandbox has them, each by its name. */
export const MOUNTS_PATH = "/mnt";

/** One of them, as an engine is asked for it. */
export interface StorageMount {
	/** What it is called below MOUNTS_PATH. */
	readonly name: string;
	/** The volume's id; absent: the directory that the operator calls by that name. */
	readonly volume?: string;
	readonly readOnly: boolean;
}

/** What a version has mounted. */
export function storageOf(project: string, { volumes = [], binds = [] }: Pick<Manifest, "volumes" | "binds">): readonly StorageMount[] {
	return [
		...volumes.map(({ name, readOnly = false }) => ({ name, volume: volumeIdOf(project, name), readOnly })),
		...binds.map((name) => ({ name, readOnly: true })),
	];
}

/** The same for a project's volume of that name on every node, and for no other project's: 32 hex digits. */
export function volumeIdOf(project: string, name: string): string {
	return createHash("sha256").update(`${project}/${name}`).digest("hex").slice(0, 32);
}

/** The names that a manifest gives to more than one thing, each of which would be in the place of another. */
export function namedTwice({ volumes = [], binds = [] }: Pick<Manifest, "volumes" | "binds">): readonly string[] {
	const names = [...volumes.map(({ name }) => name), ...binds];
	return [...new Set(names.filter((name, at) => names.indexOf(name) !== at))];
}

/** What storage an engine can give sandboxes. */
export interface StorageReport {
	/** What this host lacks for volumes, and what to do; absent when nothing. */
	readonly missing?: string;
	/** Directories of the host that functions may have, by the operator's names for them. */
	readonly binds: readonly string[];
}
