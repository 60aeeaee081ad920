import { createHash } from "node:crypto";
import {
	BerthError,
	type BuildFailure,
	DEPENDENCY_LIMITS,
	type Layer,
	MINUTE_MS,
	type PackagedLanguage,
	packagesOf,
	parseBuildAnswer,
	parseInstalledIndex,
	type Runtime,
} from "@berth/contracts";
import type { ScratchFile } from "@berth/registry";
import { type BuildListener, sizeText } from "./build-listener.js";
import type { BuildRun, BuildSandboxes } from "./build-sandbox.js";
import { type PackageSource, packageSource } from "./package-source.js";
import { questionOf, RegistryFetches } from "./registry-fetches.js";
import { findLayer, fitsFunctionLayer, type LayerStores, layerKey, makeFunctionLayer } from "./stored-layer.js";
import type { LayerEntry } from "./tar-writer.js";

/** What the sandbox keeps of its time to say how far it came, and to hand over what it installed, milliseconds. */
const HANDOVER_MS = MINUTE_MS;

export interface DependencyLayersOptions {
	readonly stores: LayerStores;
	readonly sandboxes: BuildSandboxes;
	/** Where each language's packages come from: URLs with a `/` at their end. */
	readonly registries: Readonly<Record<PackagedLanguage, string>>;
	/** Identity of what installs. */
	readonly builder: string;
	/** How long an installation may take, milliseconds. */
	readonly installMs: number;
	/** How long the registry may say nothing, milliseconds. */
	readonly silenceMs: number;
}

/** A layer of dependencies, and what was chosen for it where that was left open. */
export interface Dependencies {
	readonly layer: Layer;
	readonly resolved?: readonly string[];
}

/** Dependencies, and whether they were there; or why there are none. */
export type Installed = (Dependencies & { readonly cached: boolean; readonly installMs: number }) | BuildFailure;

/**
 * Layers of installed packages, one for each lock file (or list of requirements), runtime and platform, shared by every function that asks for the
 * same. The key is the hash of the very bytes that are all that the installing sandbox gets: whatever somebody's source
 * does to the sandbox that it is read in, it can't put anything under the key of another's lock file.
 */
export class DependencyLayers {
	readonly #options: DependencyLayersOptions;
	readonly #underWay = new Map<string, Promise<Installed>>();

	constructor(options: DependencyLayersOptions) {
		this.#options = options;
	}

	/** The layer that was made of this before. */
	async find(installable: Uint8Array, runtime: Runtime): Promise<Dependencies | undefined> {
		using _hold = await this.#options.stores.images.hold();
		const known = await findLayer(this.#options.stores, this.#keyOf(installable, runtime));
		if (known === undefined) return undefined;
		const { resolved } = (known.note ?? {}) as Pick<Dependencies, "resolved">;
		return { layer: { digest: known.digest, sizeBytes: known.sizeBytes }, ...(resolved && { resolved }) };
	}

	/** Installs; who asks for the same meanwhile waits for it. @throws BerthError when we are to blame */
	async install(installable: Uint8Array, runtime: Runtime, listener: BuildListener): Promise<Installed> {
		const key = this.#keyOf(installable, runtime);
		const other = this.#underWay.get(key);
		if (other !== undefined) {
			listener.line({ kind: "step", text: "waiting for another build, which installs the same dependencies" });
			const installed = await other;
			return "layer" in installed ? { ...installed, cached: true } : installed;
		}
		listener.line({ kind: "step", text: "installing the dependencies" });
		const work = this.#install(installable, runtime, key, listener).finally(() => this.#underWay.delete(key));
		this.#underWay.set(key, work);
		return await work;
	}

	#keyOf(installable: Uint8Array, runtime: Runtime): string {
		const lock = createHash("sha256").update(installable).digest("hex");
		const { builder, registries } = this.#options;
		// What a list of requirements leaves open, its index decides.
		const index = packagesOf(runtime) === "python" ? [registries.python] : [];
		return layerKey("dependencies", [builder, runtime, process.platform, process.arch, lock, ...index]);
	}

	async #install(installable: Uint8Array, runtime: Runtime, key: string, listener: BuildListener): Promise<Installed> {
		const { stores, registries, installMs, silenceMs } = this.#options;
		const source = packageSource(packagesOf(runtime), registries);
		const startedAt = performance.now();
		await using spool = await stores.images.scratchFile();
		const tell = () =>
			listener.progress({ phase: "install", fetches: fetches.count, fetchedBytes: fetches.bytes, unpackedBytes: spool.sizeBytes });
		using fetches = new RegistryFetches(source, silenceMs);
		const run = await this.#run(installable, source, spool, fetches, tell);
		const took = `${((performance.now() - startedAt) / 1000).toFixed(1)} s`;
		listener.line({ kind: "step", text: `asked the registry ${fetches.count} times, got ${sizeText(fetches.bytes)} in ${took}` });
		if (run.outcome !== "answered") return stopped(run, installMs);
		const answer = parseBuildAnswer(run.answer);
		if (answer === undefined || answer.ok === true || answer.ok === "dependencies" || answer.ok === "image")
			throw new BerthError("build_platform_error", "The installing sandbox gave an answer that isn't one.");
		if (!answer.ok) return { code: answer.code, phase: answer.phase, message: answer.message, diagnostics: answer.diagnostics };
		const entries = entriesOf(run.body, spool);
		const unfit = entries.find(({ path }) => !fitsFunctionLayer(path));
		if (unfit !== undefined)
			return failure("dependencies_rejected", `${JSON.stringify(unfit.path)} has a longer name than a layer has room for.`);
		listener.line({ kind: "step", text: `unpacked ${entries.length} files, ${sizeText(spool.sizeBytes)}` });
		using _hold = await stores.images.hold();
		const { resolved } = answer;
		const layer = await makeFunctionLayer(stores, key, entries, resolved && { resolved });
		return { layer, ...(resolved && { resolved }), cached: false, installMs: performance.now() - startedAt };
	}

	async #run(
		installable: Uint8Array,
		{ language, registry, filesOrigin }: PackageSource,
		spool: ScratchFile,
		fetches: RegistryFetches,
		tell: () => void,
	): Promise<BuildRun> {
		const { sandboxes, installMs } = this.#options;
		using sandbox = await sandboxes.acquire();
		return await sandbox.run(
			{ step: "install", language, registry, ...(filesOrigin !== undefined && { filesOrigin }), limitMs: installMs },
			installable,
			installMs + HANDOVER_MS,
			async (head, body) => {
				const question = questionOf(head);
				tell();
				if (question.kind === "fetch") return await fetches.fetch(question);
				if (question.kind === "read") return await fetches.read(question.handle);
				if (spool.sizeBytes + body.byteLength > DEPENDENCY_LIMITS.treeBytes + 1024) throw new Error("it puts more than it may");
				await spool.append(body);
				return { head: {} };
			},
		);
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

function stopped({ outcome, message }: Exclude<BuildRun, { outcome: "answered" }>, installMs: number): BuildFailure {
	if (outcome === "timed_out")
		return failure("build_timed_out", `Installing the dependencies took longer than ${installMs} ms and was stopped.`);
	if (outcome === "out_of_memory")
		return failure(
			"install_failed",
			"Installing the dependencies used more memory than a build may; leave out what the function doesn't need.",
		);
	return failure("install_failed", `Installing the dependencies ended before it was done: ${message}`);
}

function failure(code: BuildFailure["code"], message: string): BuildFailure {
	return { code, phase: "install", message, diagnostics: [] };
}
