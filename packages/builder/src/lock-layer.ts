import { createHash } from "node:crypto";
import { BerthError, type BuildFailure, type LockReport } from "@berth/contracts";
import type { BuildListener } from "./build-listener.js";
import { runStep, type StepOptions } from "./dependency-step.js";
import type { PackageSources } from "./package-sources.js";
import { findLayer, type LayerStores, layerKey, makeLayer } from "./stored-layer.js";
import { UnderWay } from "./under-way.js";

/** The file of a lock layer that is what to install, beside the one that people get. */
const INSTALLABLE = "to-install.json";
/** The file that people get. */
const LOCKFILE = "package-lock.json";

export interface LockLayersOptions extends StepOptions {
	readonly stores: LayerStores;
	/** Identity of what resolves. */
	readonly builder: string;
}

/** What a package.json was resolved to. */
export interface Resolution {
	readonly lockfile: LockReport;
	readonly layerBytes: number;
	/** What to install. */
	readonly installable: Uint8Array;
}

/**
 * Lock files that were made of package.json files without one: each is resolved once, and kept as a layer of two files
 * that is in no image. The key is the hash of the very bytes that the resolving sandbox gets, and of where it looks.
 */
export class LockLayers {
	readonly #options: LockLayersOptions;
	readonly #underWay = new UnderWay<Resolution | BuildFailure>();

	constructor(options: LockLayersOptions) {
		this.#options = options;
	}

	/** Resolves; who asks for the same meanwhile waits for it. @throws BerthError when we are to blame */
	async resolve(manifest: Uint8Array, sources: PackageSources, listener: BuildListener): Promise<Resolution | BuildFailure> {
		const key = this.#keyOf(manifest, sources);
		return (await this.#underWay.join(key, () => this.#resolve(manifest, sources, key, listener))).value;
	}

	/** What it was resolved to before. */
	async find(manifest: Uint8Array, sources: PackageSources): Promise<Resolution | undefined> {
		const { stores } = this.#options;
		using _hold = await stores.images.hold();
		const known = await findLayer(stores, this.#keyOf(manifest, sources));
		if (known === undefined) return undefined;
		const installable = await stores.images.readFile(known.digest, INSTALLABLE);
		if (installable === undefined) return undefined;
		const { sizeBytes, packages } = known.note as Pick<LockReport, "sizeBytes" | "packages">;
		return { lockfile: { layer: known.digest, sizeBytes, packages, cached: true }, layerBytes: known.sizeBytes, installable };
	}

	#keyOf(manifest: Uint8Array, { registries, owner }: PackageSources): string {
		return layerKey("lock", [this.#options.builder, registries, owner ?? null, createHash("sha256").update(manifest).digest("hex")]);
	}

	async #resolve(manifest: Uint8Array, sources: PackageSources, key: string, listener: BuildListener): Promise<Resolution | BuildFailure> {
		const { stores, installMs } = this.#options;
		listener.line({ kind: "step", text: "no lock file: resolving the dependencies" });
		const request = { step: "resolve", registries: sources.registries, limitMs: installMs } as const;
		const run = await runStep(request, manifest, sources, { ...this.#options, listener });
		if ("code" in run) return run;
		const { answer, body } = run;
		if (answer.ok !== "resolved" || answer.lockBytes > body.byteLength)
			throw new BerthError("build_platform_error", "The resolving sandbox gave an answer that isn't one.");
		const lock = body.subarray(0, answer.lockBytes);
		const installable = body.subarray(answer.lockBytes);
		const note = { sizeBytes: lock.byteLength, packages: answer.packages };
		const files = [
			{ path: LOCKFILE, kind: "file", content: { bytes: lock } },
			{ path: INSTALLABLE, kind: "file", content: { bytes: installable } },
		] as const;
		listener.line({ kind: "step", text: `resolved to ${answer.packages} packages` });
		using _hold = await stores.images.hold();
		const layer = await makeLayer(stores, key, files, note);
		return { lockfile: { layer: layer.digest, ...note, cached: false }, layerBytes: layer.sizeBytes, installable };
	}
}
