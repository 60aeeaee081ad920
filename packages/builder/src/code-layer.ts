import {
	BerthError,
	type BuildAnswer,
	type BuildFailure,
	type Diagnostic,
	isImageSource,
	type Layer,
	type LockReport,
	parseBuildAnswer,
	parseBuiltFiles,
	type SourceRequest,
	type Version,
} from "@berth/contracts";
import type { ScratchFile } from "@berth/registry";
import { type BuildListener, layerLine, sizeText } from "./build-listener.js";
import type { BuildRun, BuildSandbox, BuildSandboxes } from "./build-sandbox.js";
import type { Dependencies, DependencyLayers } from "./dependency-layer.js";
import { installFailure } from "./dependency-step.js";
import { type FetchImage, IMAGE_ENTRY, imageEntries, putImageBytes } from "./image-layer.js";
import type { LockLayers, Resolution } from "./lock-layer.js";
import type { PackageSources } from "./package-sources.js";
import { findLayer, type LayerStores, layerKey, makeFunctionLayer, makeLayer, reproductionOf } from "./stored-layer.js";
import type { LayerEntry } from "./tar-writer.js";

/** A function's own layer: of Node the bundle, its source map and its code cache; of Python its files, and bytecode. */
export interface CodeLayer {
	readonly layer: Layer;
	readonly entry: string;
	/** The packages it was bundled with, if there were any. */
	readonly dependencies?: UsedDependencies;
	/** What they were resolved to, where the source brought no lock file. */
	readonly lock?: UsedLock;
	readonly cached: boolean;
	readonly reproduced?: boolean;
	readonly warnings: readonly Diagnostic[];
	/** Milliseconds in the sandbox; empty when nothing was built. */
	readonly phases: Readonly<Partial<Record<"unpack" | "install" | "bundle" | "check" | "layer", number>>>;
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

/** What is remembered beside a code layer. */
interface Note {
	readonly entry: string;
	readonly dependencies?: Omit<UsedDependencies, "cached" | "reproduced">;
	readonly lock?: UsedLock;
	readonly warnings: readonly Diagnostic[];
}

export interface CodeLayerOptions {
	readonly stores: LayerStores;
	readonly sandboxes: BuildSandboxes;
	readonly dependencies: DependencyLayers;
	readonly fetchImage: FetchImage;
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

/** The key of a version's code layer: its source and every setting that the bundle depends on. Pure. */
export function codeLayerKey({ source, manifest }: Pick<Version, "source" | "manifest">, builder: string, owner?: string): string {
	const { runtime, entry = null, external = [], scripts = [] } = manifest;
	const owned = [...(scripts.length === 0 ? [] : [{ scripts: scripts.toSorted() }]), ...(owner === undefined ? [] : [owner])];
	return layerKey("code", [builder, runtime, entry, external, source.kind, source.filename ?? null, source.digest, ...owned]);
}

/** The code layer that was made of this version's source before; undefined when there is none. Whoever asks holds the image store. */
export async function findCodeLayer(version: Version, { stores, builder, sources }: CodeLayerBuild): Promise<CodeLayer | undefined> {
	const known = await findLayer(stores, codeLayerKey(version, builder, sources.owner));
	if (known === undefined) return undefined;
	const { dependencies, lock, ...note } = known.note as Note;
	// What was removed meanwhile is installed again only by a build.
	if (dependencies?.inImage === true && !(await stores.images.hasBlob(dependencies.layer.digest))) return undefined;
	const layer = { digest: known.digest, sizeBytes: known.sizeBytes };
	const isKept = lock !== undefined && (await stores.images.hasBlob(lock.layer.digest));
	return {
		layer,
		...note,
		...(dependencies && { dependencies: { ...dependencies, cached: true } }),
		...(isKept && { lock: { ...lock, report: { ...lock.report, cached: true } } }),
		cached: true,
		phases: {},
	};
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

/** Bundles a source in a sandbox, with its dependencies in it if it has some. @throws BerthError when the sandbox gives no answer that holds */
export async function bundle(version: Version, source: Uint8Array, options: CodeLayerBuild): Promise<Bundle | BuildFailure> {
	const { runtime, scripts = [] } = version.manifest;
	const { dependencies, locks, sources, listener } = options;
	let asked: Asked;
	let known: Known | undefined;
	if (isImageSource(version.source)) return await unpackImage(version, source, options);
	listener.line({ kind: "step", text: `reading the source (${sizeText(source.byteLength)})` });
	{
		using sandbox = await options.sandboxes.acquire();
		const first = await bundleIn(sandbox, version, source, false, options);
		if (!("asks" in first))
			return scripts.length === 0 || "code" in first ? first : installFailure("dependencies_rejected", NOTHING_INSTALLED);
		asked = first;
		if (version.noCache !== true) {
			known = asked.locked ? { installable: asked.asks } : await locks.find(asked.asks, sources);
			const found = known && (await dependencies.find({ installable: known.installable, runtime, sources, scripts, anew: false }));
			if (found !== undefined) return withLock(await bundleWith({ ...found, cached: true }, sandbox, version, source, options), known);
		}
	}
	// A resolution and an installation take their time: no sandbox waits for them.
	const startedAt = performance.now();
	const resolved = known ?? (asked.locked ? { installable: asked.asks } : await locks.resolve(asked.asks, sources, listener));
	if ("code" in resolved) return resolved;
	const wanted = { installable: resolved.installable, runtime, sources, scripts, anew: version.noCache === true };
	const found = version.noCache === true ? undefined : await dependencies.find(wanted);
	const installed = found === undefined ? await dependencies.install(wanted, listener) : { ...found, cached: true };
	if ("code" in installed) return wasResolved(known) ? { ...installed, message: `${installed.message} ${RESOLVED_BEFORE}` } : installed;
	const installMs = performance.now() - startedAt;
	using sandbox = await options.sandboxes.acquire();
	const bundled = await bundleWith(installed, sandbox, version, source, options);
	return withLock("code" in bundled ? bundled : { ...bundled, installMs }, resolved);
}

const NOTHING_INSTALLED =
	"The manifest's `scripts` name packages, and none is installed for this source: it has no package.json with dependencies, or brings its own node_modules. Leave the field out.";

const RESOLVED_BEFORE =
	"There is no lock file, so it is what an earlier deploy resolved package.json to; `noCache` (`berth deploy --no-cache`) resolves it anew.";

/** What is to be installed: as a lock file says, or as a resolution did. */
type Known = Resolution | { readonly installable: Uint8Array };

function wasResolved(known: Known | undefined): known is Resolution {
	return known !== undefined && "lockfile" in known;
}

/** With the lock file that a resolution made, if there was one. */
function withLock(
	bundled: Bundle | BuildFailure,
	resolved: Known | undefined,
): Bundle | BuildFailure {
	if ("code" in bundled || !wasResolved(resolved)) return bundled;
	const { lockfile, layerBytes } = resolved;
	return { ...bundled, lock: { layer: { digest: lockfile.layer, sizeBytes: layerBytes }, report: lockfile } };
}

/** An image becomes one layer, a whole root file system; what a registry has is fetched first. */
async function unpackImage(version: Version, source: Uint8Array, options: CodeLayerBuild): Promise<Bundle | BuildFailure> {
	const { listener, stores, sandboxes, timeoutMs } = options;
	const startedAt = performance.now();
	let archive = source;
	if (version.source.kind === "image-reference") {
		const { reference } = JSON.parse(Buffer.from(source).toString()) as { reference: string };
		listener.line({ kind: "step", text: `fetching ${reference}` });
		try {
			const fetched = await options.fetchImage(reference);
			archive = fetched.archive;
			listener.line({ kind: "step", text: `it is ${fetched.digest}` });
		} catch (error) {
			if (!(error instanceof BerthError) || !isRefusal(error.code)) throw error;
			return { code: error.code, phase: "unpack", message: error.message, diagnostics: [] };
		}
	}
	listener.line({ kind: "step", text: `unpacking the image (${sizeText(archive.byteLength)})` });
	const spool = await stores.images.scratchFile();
	try {
		using sandbox = await sandboxes.acquire();
		const request = { ...requestOf(version, options.sources.registries, false), kind: "image" } as const;
		const run = await sandbox.run(request, archive, timeoutMs, async (_head, body) => {
			await putImageBytes(spool, body);
			return { head: {} };
		});
		if (run.outcome !== "answered") return failed(spool, stopped(run, timeoutMs));
		const answer = parseBuildAnswer(run.answer);
		if (answer?.ok === false) return failed(spool, { code: answer.code, phase: answer.phase, message: answer.message, diagnostics: [] });
		if (answer?.ok !== "image") throw new BerthError("build_platform_error", "The build sandbox gave an answer that isn't one.");
		const files = imageEntries(run.body, spool);
		if ("code" in files) return failed(spool, files);
		const phases = { unpackMs: performance.now() - startedAt, bundleMs: 0, checkMs: 0 };
		return { answer: { ok: true, listBytes: 0, entry: IMAGE_ENTRY, needsDependencies: false, warnings: [], phases }, files, spool };
	} catch (error) {
		await spool[Symbol.asyncDispose]();
		throw error;
	}
}

async function failed(spool: ScratchFile, failure: BuildFailure): Promise<BuildFailure> {
	await spool[Symbol.asyncDispose]();
	return failure;
}

/** What a registry, or an image's name, is to blame for: another try would end the same. */
function isRefusal(code: BerthError["code"]): code is "image_not_found" | "image_rejected" | "registry_failed" | "invalid_request" {
	return code === "image_not_found" || code === "image_rejected" || code === "registry_failed" || code === "invalid_request";
}

async function bundleWith(
	{ layer, resolved, withScripts = [], cached, reproduced }: Omit<UsedDependencies, "inImage">,
	sandbox: BuildSandbox,
	version: Version,
	source: Uint8Array,
	options: CodeLayerBuild,
): Promise<Bundle | BuildFailure> {
	const outcome = { cached, ...(reproduced === undefined ? {} : { reproduced }) };
	options.listener.line(layerLine({ name: "dependencies", sizeBytes: layer.sizeBytes, ...outcome }));
	const unrun = withScripts.filter((name) => version.manifest.scripts?.includes(name) !== true);
	if (unrun.length > 0) {
		const text = `not run: the install scripts of ${unrun.join(", ")}; the manifest's \`scripts\` may name those that have to`;
		options.listener.line({ kind: "step", text });
	}
	await sandbox.graft(layer);
	const bundled = await bundleIn(sandbox, version, source, true, options);
	if ("asks" in bundled) throw new BerthError("build_platform_error", "The build sandbox asks twice for the same dependencies.");
	if ("code" in bundled) return bundled;
	return { ...bundled, dependencies: { layer, ...(resolved && { resolved }), inImage: bundled.answer.needsDependencies, ...outcome } };
}

/** Stores a bundle as a layer and remembers what it was made of. Whoever asks holds the image store. */
export async function storeCodeLayer(
	version: Version,
	{ answer, files, dependencies, lock, installMs, spool }: Bundle,
	{ stores, builder, sources }: CodeLayerBuild,
): Promise<CodeLayer> {
	const startedAt = performance.now();
	const note: Note = {
		entry: answer.entry,
		...(dependencies && { dependencies: withoutCached(dependencies) }),
		...(lock && { lock }),
		warnings: answer.warnings,
	};
	const key = codeLayerKey(version, builder, sources.owner);
	await using _spool = spool;
	const before = await findLayer(stores, key);
	const layer = await (isImageSource(version.source) ? makeLayer : makeFunctionLayer)(stores, key, files, note);
	const { unpackMs, bundleMs, checkMs } = answer.phases;
	const phases = {
		unpack: unpackMs,
		...(installMs === undefined ? {} : { install: installMs }),
		bundle: bundleMs,
		check: checkMs,
		layer: performance.now() - startedAt,
	};
	const used = { ...(dependencies && { dependencies }), ...(lock && { lock }) };
	return { layer, entry: note.entry, warnings: note.warnings, ...used, cached: false, ...reproductionOf(before, layer), phases };
}

function withoutCached({ layer, inImage, resolved }: UsedDependencies): Omit<UsedDependencies, "cached"> {
	return { layer, inImage, ...(resolved && { resolved }) };
}

/** What a source wants installed, or resolved first: the bytes that say so. */
interface Asked {
	readonly asks: Uint8Array;
	readonly locked: boolean;
}

type Answered = Bundle | BuildFailure | Asked;

async function bundleIn(
	sandbox: BuildSandbox,
	version: Version,
	source: Uint8Array,
	grafted: boolean,
	{ timeoutMs, sources }: CodeLayerBuild,
): Promise<Answered> {
	const run = await sandbox.run(requestOf(version, sources.registries, grafted), source, timeoutMs);
	if (run.outcome !== "answered") return stopped(run, timeoutMs);
	const answer = parseBuildAnswer(run.answer);
	if (answer === undefined || answer.ok === "installed" || answer.ok === "resolved" || answer.ok === "image")
		throw new BerthError("build_platform_error", "The build sandbox gave an answer that isn't one.");
	if (answer.ok === "dependencies") return { asks: run.body, locked: answer.locked };
	if (!answer.ok) return { code: answer.code, phase: answer.phase, message: answer.message, diagnostics: answer.diagnostics };
	return { answer, files: filesOf(answer, run.body) };
}

function requestOf({ source, manifest }: Version, registries: PackageSources["registries"], grafted: boolean): SourceRequest {
	return {
		step: "source",
		registries,
		grafted,
		external: manifest.external ?? [],
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
	const files = list.map(([path, bytes, executable]): LayerEntry => {
		at += bytes;
		return { path, kind: "file", executable, content: { bytes: body.subarray(at - bytes, at) } };
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
