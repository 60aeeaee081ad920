import {
	BerthError,
	type BuildAnswer,
	type BuildFailure,
	type Layer,
	type LockReport,
	parseBuiltFiles,
	type SourceRequest,
	type Version,
} from "@berth/contracts";
import type { ScratchFile } from "@berth/registry";
import type { BuildListener } from "./build-listener.js";
import type { BuildRun, BuildSandboxes } from "./build-sandbox.js";
import type { Dependencies, DependencyLayers } from "./dependency-layer.js";
import type { DockerfileBuilder } from "./dockerfile-builder.js";
import type { FetchImage } from "./image-layer.js";
import type { LockLayers } from "./lock-layer.js";
import type { PackageSources } from "./package-sources.js";
import { parsedJson } from "./parsed-json.js";
import type { LayerStores } from "./stored-layer.js";
import type { LayerEntry } from "./tar-writer.js";

export interface CodeLayerOptions {
	readonly stores: LayerStores;
	readonly sandboxes: BuildSandboxes;
	readonly dependencies: DependencyLayers;
	readonly fetchImage: FetchImage;
	/** Undefined where functions can't be Dockerfiles. */
	readonly dockerfiles: DockerfileBuilder | undefined;
	/** How long an installation of dependencies may take, or what a Dockerfile runs, milliseconds. */
	readonly installMs: number;
	readonly locks: LockLayers;
	readonly timeoutMs: number;
	/** Identity of what builds: another builder makes other layers. */
	readonly builder: string;
}

/** The same for one build. */
export interface CodeLayerBuild extends CodeLayerOptions {
	/** Where its project's packages come from. */
	readonly sources: PackageSources;
	readonly listener: BuildListener;
}

/** What a build sandbox made of a source: files that aren't stored yet. */
export interface Bundle {
	readonly answer: Extract<BuildAnswer, { ok: true }>;
	readonly files: readonly LayerEntry[];
	readonly dependencies?: UsedDependencies;
	readonly lock?: UsedLock;
	readonly installMs?: number;
	/** Of an image: has its files' bytes until the layer is made. */
	readonly spool?: ScratchFile;
}

/** A dependency layer as a code layer needs it. */
export interface UsedDependencies extends Dependencies {
	/** Whether the code loads packages from it; else all that it needs is in the bundle. */
	readonly inImage: boolean;
	readonly cached: boolean;
	readonly reproduced?: boolean;
}

/** A lock file that was made at a build, in a layer of its own. */
export interface UsedLock {
	readonly layer: Layer;
	readonly report: LockReport;
}

/** What a sandbox is asked to do with a version's source. */
export function requestOf({ source, manifest }: Version, registries: PackageSources["registries"], grafted: boolean): SourceRequest {
	const named = manifest.dockerfile ?? manifest.entry;
	return {
		step: "source",
		registries,
		grafted,
		external: manifest.external ?? [],
		kind: source.kind,
		runtime: manifest.runtime,
		...(source.filename === undefined ? {} : { filename: source.filename }),
		...(named === undefined ? {} : { entry: named }),
	};
}

/** The body cut into the files that its list announces. */
export function filesOf({ entry, listBytes }: Extract<BuildAnswer, { ok: true }>, body: Uint8Array): LayerEntry[] {
	const list = parseBuiltFiles(parsedJson(body.subarray(0, listBytes)));
	if (list === undefined) throw new BerthError("build_platform_error", "The build gave no list of its files.");
	let at = listBytes;
	const files = list.map(([path, bytes, executable]): LayerEntry => {
		at += bytes;
		return { path, kind: "file", executable, content: { bytes: body.subarray(at - bytes, at) } };
	});
	if (at !== body.byteLength) throw new BerthError("build_platform_error", "The build's files aren't as long as it says.");
	if (!list.some(([path]) => path === entry)) throw new BerthError("build_platform_error", "The build's entry is none of its files.");
	return files;
}

/** How a build's sandbox ended that gave no answer. */
export function stopped({ outcome, message }: Exclude<BuildRun, { outcome: "answered" }>, timeoutMs: number): BuildFailure {
	if (outcome === "timed_out") return failure("build_timed_out", `The build took longer than ${timeoutMs} ms and was stopped.`);
	if (outcome === "out_of_memory") return failure("build_failed", "The build used more memory than a build may; send less source.");
	return failure("build_failed", `The build ended before it was done: ${message}`);
}

function failure(code: BuildFailure["code"], message: string): BuildFailure {
	return { code, phase: "bundle", message, diagnostics: [] };
}
