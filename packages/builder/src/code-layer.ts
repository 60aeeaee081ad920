import {
	BerthError,
	type BuildAnswer,
	type BuildFailure,
	type BuildRequest,
	type Diagnostic,
	type Layer,
	parseBuildAnswer,
	parseBuiltFiles,
	type Version,
} from "@berth/contracts";
import type { BuildRun, BuildSandbox } from "./build-sandbox.js";
import { findLayer, type LayerStores, layerKey, makeLayer } from "./stored-layer.js";
import type { LayerEntry } from "./tar-writer.js";

/** A function's own layer: of Node the bundle, its source map and its code cache; of Python its files, and bytecode. */
export interface CodeLayer {
	readonly layer: Layer;
	readonly entry: string;
	readonly cached: boolean;
	readonly warnings: readonly Diagnostic[];
	/** Milliseconds in the sandbox; empty when nothing was built. */
	readonly phases: Readonly<Partial<Record<"unpack" | "bundle" | "check" | "layer", number>>>;
}

/** What is remembered beside a code layer. */
interface Note {
	readonly entry: string;
	readonly warnings: readonly Diagnostic[];
}

export interface CodeLayerOptions {
	readonly stores: LayerStores;
	readonly sandbox: BuildSandbox;
	readonly timeoutMs: number;
	/** Identity of what builds: another builder makes other layers. */
	readonly builder: string;
}

/** The key of a version's code layer: its source and every setting that the bundle depends on. Pure. */
export function codeLayerKey({ source, manifest }: Pick<Version, "source" | "manifest">, builder: string): string {
	return layerKey("code", [builder, manifest.runtime, manifest.entry ?? null, source.kind, source.filename ?? null, source.digest]);
}

/** The code layer that was made of this version's source before; undefined when there is none. Whoever asks holds the image store. */
export async function findCodeLayer(version: Version, { stores, builder }: CodeLayerOptions): Promise<CodeLayer | undefined> {
	const known = await findLayer(stores, codeLayerKey(version, builder));
	if (known === undefined) return undefined;
	const { entry, warnings } = known.note as Note;
	return { layer: { digest: known.digest, sizeBytes: known.sizeBytes }, entry, warnings, cached: true, phases: {} };
}

/** What a build sandbox made of a source: files that aren't stored yet. */
export interface Bundle {
	readonly answer: Extract<BuildAnswer, { ok: true }>;
	readonly files: readonly LayerEntry[];
}

/** Bundles a source in a sandbox. @throws BerthError when the sandbox gives no answer that holds */
export async function bundle(
	version: Version,
	source: Uint8Array,
	{ sandbox, timeoutMs }: CodeLayerOptions,
): Promise<Bundle | BuildFailure> {
	const run = await sandbox.run(requestOf(version), source, timeoutMs);
	if (run.outcome !== "answered") return stopped(run, timeoutMs);
	const answer = parseBuildAnswer(run.answer);
	if (answer === undefined) throw new BerthError("build_platform_error", "The build sandbox gave an answer that isn't one.");
	if (!answer.ok) return { code: answer.code, phase: answer.phase, message: answer.message, diagnostics: answer.diagnostics };
	return { answer, files: filesOf(answer, run.body) };
}

/** Stores a bundle as a layer and remembers what it was made of. Whoever asks holds the image store. */
export async function storeCodeLayer(
	version: Version,
	{ answer, files }: Bundle,
	{ stores, builder }: CodeLayerOptions,
): Promise<CodeLayer> {
	const startedAt = performance.now();
	const note: Note = { entry: answer.entry, warnings: answer.warnings };
	const layer = await makeLayer(stores, codeLayerKey(version, builder), files, note);
	const { unpackMs, bundleMs, checkMs } = answer.phases;
	const phases = { unpack: unpackMs, bundle: bundleMs, check: checkMs, layer: performance.now() - startedAt };
	return { layer, ...note, cached: false, phases };
}

function requestOf({ source, manifest }: Version): BuildRequest {
	return {
		kind: source.kind,
		runtime: manifest.runtime,
		...(source.filename === undefined ? {} : { filename: source.filename }),
		...(manifest.entry === undefined ? {} : { entry: manifest.entry }),
	};
}

/** The body cut into the files that its list announces. */
function filesOf({ entry, listBytes }: Extract<BuildAnswer, { ok: true }>, body: Uint8Array): LayerEntry[] {
	const list = parseBuiltFiles(parsed(body.subarray(0, listBytes)));
	if (list === undefined) throw new BerthError("build_platform_error", "The build gave no list of its files.");
	let at = listBytes;
	const files = list.map(([path, bytes]): LayerEntry => {
		at += bytes;
		return { path, kind: "file", content: { bytes: body.subarray(at - bytes, at) } };
	});
	if (at !== body.byteLength) throw new BerthError("build_platform_error", "The build's files aren't as long as it says.");
	if (!list.some(([path]) => path === entry)) throw new BerthError("build_platform_error", "The build's entry is none of its files.");
	return files;
}

function parsed(json: Uint8Array): unknown {
	try {
		return JSON.parse(Buffer.from(json).toString());
	} catch {
		return undefined;
	}
}

function stopped({ outcome, message }: Exclude<BuildRun, { outcome: "answered" }>, timeoutMs: number): BuildFailure {
	if (outcome === "timed_out") return failure("build_timed_out", `The build took longer than ${timeoutMs} ms and was stopped.`);
	if (outcome === "out_of_memory") return failure("build_failed", "The build used more memory than a build may; send less source.");
	return failure("build_failed", `The build ended before it was done: ${message}`);
}

function failure(code: BuildFailure["code"], message: string): BuildFailure {
	return { code, phase: "bundle", message, diagnostics: [] };
}
