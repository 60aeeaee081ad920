import type { Alias } from "./alias.js";
import type { ErrorCode } from "./errors.js";
import type { ImageReference } from "./image.js";
import type { Manifest } from "./manifest.js";
import type { Digest } from "./units.js";

/** `queued → building → ready | failed`; nothing leaves the last two. */
export type VersionState = "queued" | "building" | "ready" | "failed";

/** A message of the build with its place in the source; lines and columns count from 1. */
export interface Diagnostic {
	readonly severity: "error" | "warning";
	readonly message: string;
	readonly file?: string;
	readonly line?: number;
	readonly column?: number;
	readonly lineText?: string;
}

export type BuildPhase = "unpack" | "install" | "bundle" | "check" | "layer" | "image";

/** Why a build failed: a value, not an exception, when the source is to blame. */
export interface BuildFailure {
	/** A code of the error catalogue. */
	readonly code:
		| "build_failed"
		| "archive_rejected"
		| "no_handler"
		| "dependencies_rejected"
		| "install_failed"
		| "registry_unavailable"
		| "network_unavailable"
		| "runtime_class_unavailable"
		| "build_timed_out"
		| "image_not_found"
		| "image_rejected"
		| "quota_exceeded"
		| "registry_failed"
		| "invalid_request"
		| "storage_full"
		| "build_platform_error";
	readonly phase: BuildPhase;
	readonly message: string;
	readonly diagnostics: readonly Diagnostic[];
}

/** A layer that a build made or found. */
export interface LayerReport {
	readonly name: "runtime" | "agent" | "dependencies" | "code";
	readonly cached: boolean;
	readonly sizeBytes: number;
	/** Made anew although there was one of the same inputs: whether it came out the same, byte for byte. */
	readonly reproduced?: boolean;
	/** Of `dependencies`: whether the image has it; it doesn't when all that is used of it is in the bundle. */
	readonly inImage?: boolean;
	/** Of `dependencies`, where requirements.txt left something open: what was chosen, as lines of such a file. */
	readonly resolved?: readonly string[];
}

/** What a build resolved a package.json without a lock file to. */
export interface LockReport {
	/** The layer that holds it; `GET …/versions/{n}/lockfile` gives the file. */
	readonly layer: Digest;
	/** Of the file. */
	readonly sizeBytes: number;
	readonly packages: number;
	/** Whether the same package.json was resolved before. */
	readonly cached: boolean;
}

/** How a build went: milliseconds per phase, and whether each layer was there already. */
export interface BuildReport {
	readonly durationMs: number;
	readonly phases: Readonly<Partial<Record<BuildPhase, number>>>;
	readonly layers: readonly LayerReport[];
	/** Present when the source brought no lock file and has dependencies. */
	readonly lockfile?: LockReport;
	readonly warnings: readonly Diagnostic[];
}

/** How the source was handed in: one file, an archive, an image (as a tar), the name of one in a registry, or a tar.gz with a Dockerfile. */
export type SourceKind = "file" | "tar.gz" | "zip" | "image" | "image-reference" | "dockerfile";

/** Whether it is an image, which becomes the root of its sandboxes. */
export function isImageSource({ kind }: Pick<SourceReference, "kind">): boolean {
	return kind === "image" || kind === "image-reference" || kind === "dockerfile";
}

/** The source of a version in the artifact store. */
export interface SourceReference {
	readonly digest: Digest;
	readonly kind: SourceKind;
	/** File name of an inline source. */
	readonly filename?: string;
	readonly sizeBytes: number;
}

/** How far the copy of a version's image in the stack's registry (`BERTH_IMAGE_REPOSITORY`) is. Absent while it is to be made. */
export interface VersionCopy {
	/** `failing`: it is tried again, ever more rarely. */
	readonly state: "pushed" | "failing";
	/** Where it is, or is to be: `registry.example.com/team/berth:default.hello.3`. */
	readonly reference: string;
	/** Tries until then. */
	readonly tries: number;
	/** Blobs that had to be sent; the registry had the others. */
	readonly sentBlobs?: number;
	/** Why the last try failed. */
	readonly problem?: { readonly code: ErrorCode; readonly detail: string };
	/** ISO 8601. */
	readonly at: string;
}

/** One immutable deployment of a function. */
export interface Version {
	readonly project: string;
	readonly function: string;
	/** From 1 upwards, never used again. */
	readonly number: number;
	readonly state: VersionState;
	readonly manifest: Manifest;
	readonly source: SourceReference;
	/** Whether its layers were to be made anew, those of before notwithstanding. */
	readonly noCache?: true;
	/** The version that it is the same as, on a newer base. */
	readonly rebasedFrom?: number;
	/** Present when ready. */
	readonly image?: ImageReference;
	/** Present when failed. */
	readonly failure?: BuildFailure;
	/** Present when ready or failed. */
	readonly build?: BuildReport;
	/** Present once the image was pushed, or couldn't be, to the stack's registry. */
	readonly copy?: VersionCopy;
	/** ISO 8601. */
	readonly createdAt: string;
	readonly finishedAt?: string;
}

/** A version that answers on a base that new images don't get any more. */
export interface OutdatedVersion {
	readonly version: number;
	readonly base: Digest;
	/** What its runtime's base is now. */
	readonly current: Digest;
}

/** A function: its versions, and the aliases that lead to them. */
export interface FunctionSummary {
	readonly project: string;
	readonly name: string;
	/** The version that answers for the bare name; while `live` is split, the one with the largest share. Absent until one is ready. */
	readonly live?: number;
	/** `live` first, then by name; empty until a version is ready. */
	readonly aliases: readonly Alias[];
	readonly latest: number;
	/** Its background work waits until it is resumed. */
	readonly paused?: true;
	/** With `?outdated=true`: versions that aliases lead to and that need a rebase. */
	readonly outdated?: readonly OutdatedVersion[];
	readonly createdAt: string;
	readonly updatedAt: string;
}
