import { createHash } from "node:crypto";
import { BerthError, type BuildFailure, type Layer, parseInstalledIndex, type Runtime } from "@berth/contracts";
import type { ScratchFile } from "@berth/registry";
import { type BuildListener, sizeText } from "./build-listener.js";
import { installFailure, runStep, type StepOptions, type StepResult } from "./dependency-step.js";
import { askingOf, type PackageSources } from "./package-sources.js";
import { parsedJson } from "./parsed-json.js";
import type { ScriptsBase } from "./scripts-base.js";
import { findLayer, fitsFunctionLayer, type LayerStores, layerKey, makeFunctionLayer, reproductionOf } from "./stored-layer.js";
import type { LayerEntry } from "./tar-writer.js";
import { UnderWay } from "./under-way.js";

export interface DependencyLayersOptions extends StepOptions {
	readonly stores: LayerStores;
	readonly scriptsBase: ScriptsBase;
	/** Identity of what installs. */
	readonly builder: string;
}

/** What a layer of dependencies is made of. */
export interface Wanted {
	/** The bytes that are all that the installing sandbox gets. */
	readonly installable: Uint8Array;
	readonly runtime: Runtime;
	readonly sources: PackageSources;
	/** Packages whose install scripts are run. Empty: none is. */
	readonly scripts: readonly string[];
	/** Whether nothing that was made before is taken. */
	readonly anew: boolean;
}

/** A layer of dependencies, and what was chosen for it where that was left open. */
export interface Dependencies {
	readonly layer: Layer;
	readonly resolved?: readonly string[];
	/** Packages that have install scripts. */
	readonly withScripts?: readonly string[];
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
		const known = await findLayer(this.#options.stores, await this.#keyOf(wanted));
		if (known === undefined) return undefined;
		const note = (known.note ?? {}) as Omit<Dependencies, "layer">;
		return { layer: { digest: known.digest, sizeBytes: known.sizeBytes }, ...note };
	}

	/** Installs; who asks for the same meanwhile waits for it. @throws BerthError when we are to blame */
	async install(wanted: Wanted, listener: BuildListener): Promise<Installed> {
		const key = await this.#keyOf(wanted);
		if (this.#underWay.has(key)) listener.line({ kind: "step", text: "waiting for another build, which installs the same dependencies" });
		const { value, joined } = await this.#underWay.join(key, () =>
			wanted.scripts.length === 0 ? this.#install(wanted, key, listener) : this.#runScripts(wanted, key, listener),
		);
		return joined && "layer" in value ? { ...value, cached: true } : value;
	}

	async #keyOf({ installable, runtime, sources, scripts }: Wanted): Promise<string> {
		const lock = createHash("sha256").update(installable).digest("hex");
		// What a list of requirements leaves open, its index decides.
		const { language, registries, owner } = sources;
		const more = [...(language === "python" ? [registries] : []), ...(owner === undefined ? [] : [owner])];
		const inputs = [this.#options.builder, runtime, process.platform, process.arch, lock, ...more];
		if (scripts.length === 0) return layerKey("dependencies", inputs);
		// What is compiled depends on the compiler.
		return layerKey("scripts", [scripts.toSorted(), await this.#options.scriptsBase.identity(), inputs]);
	}

	/** @param fromSource names of packages of which the source is wanted: then archives are fetched, and nothing is installed */
	async #install(
		{ installable, sources }: Wanted,
		key: string,
		listener: BuildListener,
		fromSource?: readonly string[],
	): Promise<Installed> {
		const { stores, installMs } = this.#options;
		listener.line({
			kind: "step",
			text: fromSource === undefined ? "installing the dependencies" : "fetching the packages and their sources",
		});
		await using spool = await stores.images.scratchFile();
		const { language, registries } = sources;
		const { filesOrigin } = askingOf(sources);
		const more = { ...(filesOrigin && { filesOrigin }), ...(fromSource && { fromSource }) };
		const request = { step: "install", language, registries, ...more, limitMs: installMs } as const;
		const run = await runStep(request, installable, sources, { ...this.#options, listener }, spool);
		if ("code" in run) return run;
		return await this.#store(run, key, spool, listener);
	}

	/** The packages as they are after the scripts of some have run, or some were built, in a sandbox without any network. */
	async #runScripts(wanted: Wanted, key: string, listener: BuildListener): Promise<Installed> {
		const { stores, installMs, scriptsBase } = this.#options;
		const { scripts, sources, runtime } = wanted;
		const { language } = sources;
		const isPython = language === "python";
		const given = isPython ? await this.#archives(wanted, listener) : await this.#withScripts(wanted, listener);
		if ("code" in given) return given;
		const what = isPython ? "building from source:" : "running the install scripts of";
		listener.line({ kind: "step", text: `${what} ${scripts.join(", ")}` });
		await using spool = await stores.images.scratchFile();
		const request = { step: "scripts", language, names: scripts, runtime, limitMs: installMs } as const;
		const tree = { base: await scriptsBase.get(), packages: given.layer };
		const payload = isPython ? wanted.installable : new Uint8Array(0);
		const run = await runStep(request, payload, sources, { ...this.#options, listener }, spool, tree);
		if ("code" in run) return run;
		return await this.#store(run, key, spool, listener, given.withScripts);
	}

	/** npm's packages, installed without their scripts; those that are named have to have some. */
	async #withScripts(wanted: Wanted, listener: BuildListener): Promise<Dependencies | BuildFailure> {
		const plain = { ...wanted, scripts: [] };
		const installed = (wanted.anew ? undefined : await this.find(plain)) ?? (await this.install(plain, listener));
		if ("code" in installed) return installed;
		const { withScripts = [] } = installed;
		const absent = wanted.scripts.find((name) => !withScripts.includes(name));
		if (absent === undefined) return installed;
		const some = withScripts.length === 0 ? "no installed package has one" : `those that have one: ${withScripts.slice(0, 20).join(", ")}`;
		const what = `The manifest's \`scripts\` name ${JSON.stringify(absent)}, which isn't installed, or has no install script`;
		return installFailure("dependencies_rejected", `${what}; ${some}.`);
	}

	/** Archives of Python's packages, from which they are built. Nobody else asks for them: they are kept for the next try alone. */
	async #archives(wanted: Wanted, listener: BuildListener): Promise<Dependencies | BuildFailure> {
		const { stores } = this.#options;
		const key = layerKey("archives", [wanted.scripts.toSorted(), await this.#keyOf({ ...wanted, scripts: [] })]);
		const known = wanted.anew ? undefined : await findLayer(stores, key);
		if (known !== undefined) return { layer: { digest: known.digest, sizeBytes: known.sizeBytes } };
		return await this.#install(wanted, key, listener, wanted.scripts);
	}

	/** @param withScripts what is known to have scripts, where those have run since */
	async #store(
		{ answer, body }: StepResult,
		key: string,
		spool: ScratchFile,
		listener: BuildListener,
		withScripts?: readonly string[],
	): Promise<Installed> {
		const { stores } = this.#options;
		if (answer.ok !== "installed") throw new BerthError("build_platform_error", "The installing sandbox gave an answer that isn't one.");
		for (const text of answer.said ?? []) listener.line({ kind: "step", text });
		const entries = entriesOf(body, spool);
		const unfit = entries.find(({ path }) => !fitsFunctionLayer(path));
		if (unfit !== undefined)
			return installFailure("dependencies_rejected", `${JSON.stringify(unfit.path)} has a longer name than a layer has room for.`);
		listener.line({ kind: "step", text: `unpacked ${entries.length} files, ${sizeText(spool.sizeBytes)}` });
		using _hold = await stores.images.hold();
		const { resolved } = answer;
		const scripted = withScripts ?? answer.withScripts;
		const note = { ...(resolved && { resolved }), ...(scripted && { withScripts: scripted }) };
		const before = await findLayer(stores, key);
		const layer = await makeFunctionLayer(stores, key, entries, note);
		return { layer, ...note, cached: false, ...reproductionOf(before, layer) };
	}
}

/** The files whose bytes were put. @throws BerthError when the index isn't one of them */
function entriesOf(body: Uint8Array, spool: ScratchFile): readonly LayerEntry[] {
	const index = parseInstalledIndex(parsedJson(body));
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
