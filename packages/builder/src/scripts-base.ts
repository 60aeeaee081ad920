import { stat } from "node:fs/promises";
import type { Base } from "@berth/contracts";
import { findCompiler, readCompiler } from "./compiler.js";
import { storeImage } from "./oci-image.js";
import { digestOfLayers, findLayer, type LayerStores, layerKey, makeLayer } from "./stored-layer.js";
import type { LayerEntry } from "./tar-writer.js";

/** No collection takes what has this name. */
const TAG = "base/compiler:current";

/**
 * The base of sandboxes in which packages' scripts run: that of builds and npm's tools to compile with, and on top the compiler of
 * this machine, where it has one. The compiler is a hundred megabytes: its layer is made when the first script is to run.
 */
export class ScriptsBase {
	readonly #base: Base;
	readonly #stores: LayerStores;
	#compiler: Promise<readonly string[] | undefined> | undefined;

	/** @param base the same without a compiler */
	constructor(base: Base, stores: LayerStores) {
		this.#base = base;
		this.#stores = stores;
	}

	/** What is in it beyond the base of builds, for keys of what scripts make in it. */
	async identity(): Promise<readonly (string | undefined)[]> {
		return [this.#base.layers.at(-1)?.digest, ...((await this.#found()) ?? [])];
	}

	/** Makes it, or finds that it is there. */
	async get(): Promise<Base> {
		const found = await this.#found();
		if (found === undefined) return this.#base;
		const { images } = this.#stores;
		using _hold = await images.hold();
		const key = layerKey("compiler", found);
		const known = await findLayer(this.#stores, key);
		const layer = known ?? (await makeLayer(this.#stores, key, await compilerEntries(found)));
		const layers = [...this.#base.layers, { digest: layer.digest, sizeBytes: layer.sizeBytes }];
		const { manifest } = await storeImage(images, layers, {});
		await images.tag(TAG, manifest);
		return { digest: digestOfLayers(layers), layers };
	}

	/** Looked for once: what is installed later is there after the next start. */
	#found(): Promise<readonly string[] | undefined> {
		this.#compiler ??= findCompiler().catch((error: unknown) => {
			this.#compiler = undefined;
			throw error;
		});
		return this.#compiler;
	}
}

async function compilerEntries(found: readonly string[]): Promise<readonly LayerEntry[]> {
	const { files, links } = await readCompiler(found);
	return [
		...(await Promise.all(
			files.map(async ({ path, file, executable }): Promise<LayerEntry> => {
				const { size } = await stat(file);
				return { path: path.slice(1), kind: "file", executable, content: { file, sizeBytes: size } };
			}),
		)),
		...links.map(({ path, target }): LayerEntry => ({ path: path.slice(1), kind: "link", target })),
	];
}
