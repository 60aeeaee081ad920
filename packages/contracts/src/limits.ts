import { KIB, MIB } from "./units.js";

/** A limit that a manifest may set: its unit is in its name; the range is closed. */
export interface Range {
	readonly min: number;
	readonly max: number;
	readonly default: number;
}

/** What a manifest may ask for, and what it gets when it doesn't ask. */
export const LIMITS = {
	/** Memory and swap together, MiB. The scratch tmpfs is charged to it. */
	memoryMiB: { min: 64, max: 4096, default: 128 },
	/** Thousandths of a core. */
	cpuMilli: { min: 50, max: 16_000, default: 1000 },
	/** From the first byte to the handler until its answer, milliseconds. */
	timeoutMs: { min: 10, max: 900_000, default: 30_000 },
	/** Size of /tmp, MiB. */
	tmpfsMiB: { min: 1, max: 1024, default: 64 },
	/** A streamed body, each way, MiB. */
	streamMiB: { min: 1, max: 10_240, default: 100 },
	/** Sandboxes of one function that may run at the same time on a node. */
	concurrency: { min: 1, max: 1000, default: 100 },
} as const satisfies Record<string, Range>;

/** Limits that every sandbox has and no manifest changes (docs/ARCHITECTURE.md says why). */
export const FIXED_LIMITS = {
	pids: 64,
	openFiles: 512,
	tmpfsInodes: 1024,
	/** Log bytes kept of one invocation. */
	logBytes: MIB,
	/** Request and response bodies. */
	bodyBytes: 6 * MIB,
	/** Names and values of a response's headers together; they travel in messages, whatever the body does. */
	responseHeaderBytes: 64 * KIB,
	/** How long a start may take; apart from the function's timeout. */
	startMs: 10_000,
	/** Environment: variables, and bytes of all names and values. */
	envCount: 128,
	envBytes: 32 * KIB,
	/** Inline source, and an uploaded archive. */
	sourceBytes: 4 * MIB,
	archiveBytes: 32 * MIB,
	/** Packages that a manifest may name in `external`, and in `scripts`. */
	packageNames: 100,
	/** Volumes, and bind mounts, of one version. */
	mounts: 16,
} as const;

/** What may be installed for one version. */
export const DEPENDENCY_LIMITS = {
	/** All files of the tree together. */
	treeBytes: 256 * MIB,
	files: 40_000,
	/** A lock file. */
	lockBytes: 8 * MIB,
	/** One answer of the registry, all of an installation's, and how many. */
	fetchBytes: 128 * MIB,
	/** A record of a package's versions, as a registry gives it: it has to be held in memory, several at a time. */
	recordBytes: 32 * MIB,
	fetchedBytes: 512 * MIB,
	fetches: 5000,
	/** How long an installation may take unless the operator says otherwise, milliseconds; what it is for is bundled after that. */
	installMs: 120_000,
	/** How long the registry may say nothing, likewise. */
	silenceMs: 30_000,
} as const;

/** What a tenant's image may hold. A build unpacks it in memory. */
export const IMAGE_LIMITS = {
	/** As it is uploaded, or comes from a registry: packed as it is. */
	archiveBytes: 64 * MIB,
	/** Of an uploaded archive: blobs, and what describes them. */
	archiveFiles: 1000,
	/** All layers unpacked; and all files of the whole tree. */
	totalBytes: 384 * MIB,
	layers: 128,
	/** Entries in all layers together. */
	entries: 100_000,
	/** Names in a path. */
	depth: 64,
	documentBytes: MIB,
} as const;

/**
 * Memory classes, MiB. V8's heap limit is fixed when the process boots, so prewarmed sandboxes
 * exist per class, and a version runs in the largest class that fits into its memory.
 */
export const MEMORY_CLASSES = [64, 128, 256, 512, 1024, 2048, 4096] as const;
export type MemoryClass = (typeof MEMORY_CLASSES)[number];

/** The largest memory class that fits into `memoryMiB`. */
export function memoryClassOf(memoryMiB: number): MemoryClass {
	return MEMORY_CLASSES.findLast((size) => size <= memoryMiB) ?? MEMORY_CLASSES[0];
}
