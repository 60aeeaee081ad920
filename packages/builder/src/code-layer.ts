import {
	BerthError,
	type BuildFailure,
	type Diagnostic,
	isImageSource,
	type Layer,
	parseBuildAnswer,
	type Version,
} from "@berth/contracts";
import { layerLine, sizeText } from "./build-listener.js";
import type { BuildSandbox } from "./build-sandbox.js";
import { installFailure } from "./dependency-step.js";
import { unpackImage } from "./image-source.js";
import type { Resolution } from "./lock-layer.js";
import { type Bundle, type CodeLayerBuild, filesOf, requestOf, stopped, type UsedDependencies, type UsedLock } from "./source-step.js";
import { findLayer, layerKey, makeFunctionLayer, makeLayer, reproductionOf } from "./stored-layer.js";

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

/** What is remembered beside a code layer. */
interface Note {
	readonly entry: string;
	readonly dependencies?: Omit<UsedDependencies, "cached" | "reproduced">;
	readonly lock?: UsedLock;
	readonly warnings: readonly Diagnostic[];
}

/** The key of a version's code layer: its source and every setting that the bundle depends on. Pure. */
export function codeLayerKey({ source, manifest }: Pick<Version, "source" | "manifest">, builder: string, owner?: string): string {
	const { runtime, entry = null, dockerfile, external = [], scripts = [] } = manifest;
	const owned = [
		...(scripts.length === 0 ? [] : [{ scripts: scripts.toSorted() }]),
		...(dockerfile === undefined ? [] : [{ dockerfile }]),
		...(owner === undefined ? [] : [owner]),
	];
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
	if ("code" in installed) return wasResolved(known) ? mayBeOutdated(installed) : installed;
	const installMs = performance.now() - startedAt;
	using sandbox = await options.sandboxes.acquire();
	const bundled = await bundleWith(installed, sandbox, version, source, options);
	return withLock("code" in bundled ? bundled : { ...bundled, installMs }, resolved);
}

const NOTHING_INSTALLED =
	"The manifest's `scripts` name packages, and none is installed for this source: it has no package.json with dependencies and no requirements.txt, or brings its packages along. Leave the field out.";

const RESOLVED_BEFORE =
	"As there is no lock file, these are the packages that an earlier deploy was given; `?cache=false` (`berth deploy --no-cache`) resolves them anew.";

/** What was resolved earlier may be in the registry no more. */
function mayBeOutdated(failure: BuildFailure): BuildFailure {
	return failure.code === "install_failed" ? { ...failure, message: `${failure.message}\n${RESOLVED_BEFORE}` } : failure;
}

/** What is to be installed: as a lock file says, or as a resolution did. */
type Known = Resolution | { readonly installable: Uint8Array };

function wasResolved(known: Known | undefined): known is Resolution {
	return known !== undefined && "lockfile" in known;
}

/** With the lock file that a resolution made, if there was one. */
function withLock(bundled: Bundle | BuildFailure, resolved: Known | undefined): Bundle | BuildFailure {
	if ("code" in bundled || !wasResolved(resolved)) return bundled;
	const { lockfile, layerBytes } = resolved;
	return { ...bundled, lock: { layer: { digest: lockfile.layer, sizeBytes: layerBytes }, report: lockfile } };
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
