import type { BuildFailure, BuildPhase, BuildReport, ImageReference, Version } from "@berth/contracts";
import type { Bases } from "./bases.js";
import { type CodeLayer, type CodeLayerOptions, codeLayer } from "./code-layer.js";
import { imageLabels } from "./image-labels.js";
import { storeImage } from "./oci-image.js";

/** What became of a build. A source that doesn't build is a value. */
export type BuildResult =
	| {
			readonly ok: true;
			readonly image: ImageReference;
			readonly report: BuildReport /** Whether a sandbox bundled it; else its code layer was there. */;
			readonly bundled: boolean;
	  }
	| { readonly ok: false; readonly failure: BuildFailure; readonly report: BuildReport };

export interface ImageBuilderOptions extends Omit<CodeLayerOptions, "builder"> {
	readonly bases: Bases;
}

/** Makes images out of versions: base, code layer, config, manifest, name. */
export class ImageBuilder {
	readonly #options: ImageBuilderOptions;

	constructor(options: ImageBuilderOptions) {
		this.#options = options;
	}

	/**
	 * Builds a version, or finds that nothing has to be. Everything is on disk when it resolves.
	 * @param source the version's source; read only when it has to be bundled
	 * @throws BerthError when we are to blame
	 */
	async build(version: Version, source: () => Promise<Uint8Array>): Promise<BuildResult> {
		const { stores, bases } = this.#options;
		const startedAt = performance.now();
		using _hold = await stores.images.hold();
		const code = await codeLayer(version, source, { ...this.#options, builder: bases.build.digest });
		if ("code" in code) return { ok: false, failure: code, report: reportOf(startedAt, {}, undefined) };
		const imageAt = performance.now();
		const base = bases[version.manifest.runtime];
		const image = await storeImage(stores.images, [...base.layers, code.layer], imageLabels(version, code.entry));
		await stores.images.tag(imageName(version), image.manifest);
		const report = reportOf(startedAt, { ...code.phases, image: performance.now() - imageAt }, code);
		return { ok: true, image: { digest: image.digest, base, layers: [code.layer], entry: code.entry }, report, bundled: !code.cached };
	}

	/** Removes the names of a function's images, and every blob and remembered key that nothing needs any more. */
	async removeFunction(project: string, name: string): Promise<void> {
		const { images, keys } = this.#options.stores;
		const prefix = `${project}/${name}:`;
		await images.untag(...images.tags().flatMap(([tag]) => (tag.startsWith(prefix) ? [tag] : [])));
		await images.collect();
		await keys.prune(async (value) => {
			const { digest } = value as { digest?: Parameters<typeof images.hasBlob>[0] };
			return digest === undefined || (await images.hasBlob(digest));
		});
	}
}

/** `default/hello:3`. A name of an image, not a part of it: the same content has the same digest under each. */
function imageName({ project, function: name, number }: Version): string {
	return `${project}/${name}:${number}`;
}

function reportOf(startedAt: number, phases: Readonly<Partial<Record<BuildPhase, number>>>, code: CodeLayer | undefined): BuildReport {
	return {
		durationMs: performance.now() - startedAt,
		phases,
		layers: [
			{ name: "runtime", cached: true },
			{ name: "agent", cached: true },
			...(code === undefined ? [] : [{ name: "code" as const, cached: code.cached }]),
		],
		warnings: code?.warnings ?? [],
	};
}
