import { createHash } from "node:crypto";
import { BerthError, type BuildFailure, type Layer, parseInstalledIndex, type Runtime } from "@berth/contracts";
import type { ScratchFile } from "@berth/registry";
import { type BuildListener, sizeText } from "./build-listener.js";
import { installFailure, runStep, type StepOptions } from "./dependency-step.js";
import { askingOf, type PackageSources } from "./package-sources.js";
import { findLayer, fitsFunctionLayer, type LayerStores, layerKey, makeFunctionLayer, reproductionOf } from "./stored-layer.js";
import type { LayerEntry } from "./tar-writer.js";
import { UnderWay } from "./under-way.js";

export interface DependencyLayersOptions extends StepOptions {
	readonly stores: LayerStores;
	/** Identity of what installs. */
	readonly builder: string;
}

/** What a layer of dependencies is made of. */
export interface Wanted {
	/** The bytes that are all that the installing sandbox gets. */
	readonly installable: Uint8Array;
	readonly runtime: Runtime;
	readonly sources: PackageSources;
}

/** A layer of dependencies, and what was chosen for it where that was left open. */
export interface Dependencies {
	readonly layer: Layer;
	readonly resolved?: readonly string[];
}

/** Dependencies, and whether they were there; or why there are none. */
export type Installed = (Dependencies & { readonly cached: boolean; readonly reproduced?: boolean }) | BuildFailure;

/**
 * Layers of installed packages, one for each lock file (or list of requirements), runtime and platform, shared by every function that asks for the
 * same. The key is the hash of the very bytes that are all that the installing sandbox gets: whatever somebody's source
 * does to the sandbox that it is read in, it can't put anything under the key of another's lock file.
 */
export class DependencyLayers {
	readonly #options: DependencyLayersOptions;
	readonly #underWay = new UnderWay<Installed>();

	constructor(options: DependencyLayersOptions) {
		this.#options = options;
	}

	/** The layer that was made of this before. */
	async find(wanted: Wanted): Promise<Dependencies | undefined> {
		using _hold = await this.#options.stores.images.hold();
		const known = await findLayer(this.#options.stores, this.#keyOf(wanted));
		if (known === undefined) return undefined;
		const { resolved } = (known.note ?? {}) as Pick<Dependencies, "resolved">;
		return { layer: { digest: known.digest, sizeBytes: known.sizeBytes }, ...(resolved && { resolved }) };
	}

	/** Installs; who asks for the same meanwhile waits for it. @throws BerthError when we are to blame */
	async install(wanted: Wanted, listener: BuildListener): Promise<Installed> {
		const key = this.#keyOf(wanted);
		if (this.#underWay.has(key)) listener.line({ kind: "step", text: "waiting for another build, which installs the same dependencies" });
		const { value, joined } = await this.#underWay.join(key, () => this.#install(wanted, key, listener));
		return joined && "layer" in value ? { ...value, cached: true } : value;
	}

	#keyOf({ installable, runtime, sources }: Wanted): string {
		const lock = createHash("sha256").update(installable).digest("hex");
		// What a list of requirements leaves open, its index decides.
		const { language, registries, owner } = sources;
		const more = [...(language === "python" ? [registries] : []), ...(owner === undefined ? [] : [owner])];
		return layerKey("dependencies", [this.#options.builder, runtime, process.platform, process.arch, lock, ...more]);
	}

	async #install({ installable, sources }: Wanted, key: string, listener: BuildListener): Promise<Installed> {
		const { stores, installMs } = this.#options;
		listener.line({ kind: "step", text: "installing the dependencies" });
		await using spool = await stores.images.scratchFile();
		const { language, registries } = sources;
		const { filesOrigin } = askingOf(sources);
		const files = filesOrigin === undefined ? {} : { filesOrigin };
		const request = { step: "install", language, registries, ...files, limitMs: installMs } as const;
		const run = await runStep(request, installable, sources, { ...this.#options, listener }, spool);
		if ("code" in run) return run;
		if (run.answer.ok !== "installed")
			throw new BerthError("build_platform_error", "The installing sandbox gave an answer that isn't one.");
		const entries = entriesOf(run.body, spool);
		const unfit = entries.find(({ path }) => !fitsFunctionLayer(path));
		if (unfit !== undefined)
			return installFailure("dependencies_rejected", `${JSON.stringify(unfit.path)} has a longer name than a layer has room for.`);
		listener.line({ kind: "step", text: `unpacked ${entries.length} files, ${sizeText(spool.sizeBytes)}` });
		using _hold = await stores.images.hold();
		const { resolved } = run.answer;
		const before = await findLayer(stores, key);
		const layer = await makeFunctionLayer(stores, key, entries, resolved && { resolved });
		return { layer, ...(resolved && { resolved }), cached: false, ...reproductionOf(before, layer) };
	}
}

/** The files whose bytes were put. @throws BerthError when the index isn't one of them */
function entriesOf(body: Uint8Array, spool: ScratchFile): readonly LayerEntry[] {
	const index = parseInstalledIndex(parsed(body));
	if (index === undefined) throw new BerthError("build_platform_error", "The installing sandbox gave an index that isn't one.");
	let at = 0;
	const entries = index.map(([path, sizeBytes, executable]): LayerEntry => {
		const content = { file: spool.path, at, sizeBytes };
		at += sizeBytes;
		return { path, kind: "file", executable, content };
	});
	if (at !== spool.sizeBytes) throw new BerthError("build_platform_error", "The installed files aren't as long as their index says.");
	return entries;
}

function parsed(body: Uint8Array): unknown {
	try {
		return JSON.parse(Buffer.from(body).toString());
	} catch (error) {
		if (error instanceof SyntaxError) return undefined;
		throw error;
	}
}
