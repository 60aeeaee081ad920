import {
	type Base,
	BerthError,
	type BuildFailure,
	type BuildReport,
	type ImageReference,
	isImageSource,
	type Layer,
	type PackagedLanguage,
	packagesOf,
	type Version,
} from "@berth/contracts";
import type { Vault } from "@berth/registry";
import { type Bases, builderIdentities } from "./bases.js";
import { type BuildListener, layerLine, SILENT } from "./build-listener.js";
import { bundle, type CodeLayer, codeLayerKey, findCodeLayer, storeCodeLayer } from "./code-layer.js";
import { DependencyLayers } from "./dependency-layer.js";
import { imageLabels } from "./image-labels.js";
import { imageTag, parseImageTag } from "./image-tag.js";
import { baseReport, codeReport, dependencyReports, linesOf } from "./layer-reports.js";
import { LockLayers } from "./lock-layer.js";
import { storeImage } from "./oci-image.js";
import type { PackageSources } from "./package-sources.js";
import { ScriptsBase } from "./scripts-base.js";
import type { CodeLayerBuild, CodeLayerOptions } from "./source-step.js";

/** What became of a build. A source that doesn't build is a value. */
export type BuildResult =
	| {
			readonly ok: true;
			readonly image: ImageReference;
			readonly report: BuildReport;
			/** Whether a sandbox bundled it; else its code layer was there. */
			readonly bundled: boolean;
	  }
	| { readonly ok: false; readonly failure: BuildFailure; readonly report: BuildReport };

export interface ImageBuilderOptions extends Omit<CodeLayerOptions, "builder" | "dependencies" | "locks"> {
	/** How long the package registry may say nothing, milliseconds. */
	readonly silenceMs: number;
	readonly bases: Bases;
	/** Where a project's packages come from. */
	readonly sourcesOf: (project: string, language: PackagedLanguage) => Promise<PackageSources>;
	/** Seals variables for the images' labels. */
	readonly vault: Pick<Vault, "sealAlike">;
	/** A version as it is recorded; undefined when it was deleted. */
	readonly findVersion: (project: string, name: string, number: number) => Promise<Version | undefined>;
	/** Told of an image whose manifest is missing or corrupt, before it is made again. */
	readonly onMend: (name: string, error: Error) => void;
}

const BASE_TAG = /^base\/(.+):current$/;

/** Makes images out of versions: base, code layer, config, manifest, name. */
export class ImageBuilder {
	readonly #options: ImageBuilderOptions;
	readonly #layers: CodeLayerOptions;
	/** Builds in sandboxes; rejected ones are undefined. */
	readonly #underWay = new Map<string, Promise<BuildResult | undefined>>();

	constructor(options: ImageBuilderOptions) {
		this.#options = options;
		const { code, dependencies } = builderIdentities(options.bases);
		const parts = { ...options, builder: dependencies, scriptsBase: new ScriptsBase(options.bases.scripts, options.stores) };
		this.#layers = { ...options, builder: code, dependencies: new DependencyLayers(parts), locks: new LockLayers(parts) };
	}

	/**
	 * Builds a version, or finds that nothing has to be. Everything is on disk when it resolves.
	 * @param source the version's source; read only when it has to be bundled
	 * @throws BerthError when we are to blame
	 */
	async build(version: Version, source: () => Promise<Uint8Array>, listener: BuildListener = SILENT): Promise<BuildResult> {
		const startedAt = performance.now();
		const sources = await this.#options.sourcesOf(version.project, packagesOf(version.manifest.runtime));
		const options: CodeLayerBuild = { ...this.#layers, sources, listener };
		for (const layer of baseReport(this.#options.bases[version.manifest.runtime])) listener.line(layerLine(layer));
		// Equal sources are the same to builds of one project.
		const key = `${version.project} ${codeLayerKey(version, options.builder, sources.owner)}`;
		const make = () => this.#single(key, () => this.#made(version, source, options, startedAt));
		if (version.noCache === true) return await make();
		for (;;) {
			const known = await this.#holding(async () => {
				const code = await findCodeLayer(version, options);
				return code && (await this.#assemble(version, code, listener, startedAt));
			});
			if (known !== undefined) return known;
			const other = this.#underWay.get(key);
			if (other === undefined) return await make();
			listener.line({ kind: "step", text: "waiting for another build, which makes the same code layer" });
			const result = await other;
			if (result?.ok === false) return result;
		}
	}

	/**
	 * The image of a version whose source isn't here, on its runtime's base of now: with the layers that another version has.
	 * @throws BerthError `build_platform_error` when they are gone
	 */
	async rebase(version: Version, { layers, entry }: ImageReference, listener: BuildListener = SILENT): Promise<BuildResult> {
		const startedAt = performance.now();
		const { images } = this.#options.stores;
		return await this.#holding(async () => {
			for (const { digest } of layers) {
				if (await images.hasBlob(digest)) continue;
				throw new BerthError("build_platform_error", `Neither the source is here nor layer ${digest}; deploy the function again.`);
			}
			const [code, dependencies] = [...layers].reverse() as [Layer, Layer?];
			const used = dependencies === undefined ? {} : { dependencies: { layer: dependencies, inImage: true, cached: true } };
			return await this.#assemble(version, { layer: code, entry, ...used, cached: true, warnings: [], phases: {} }, listener, startedAt);
		});
	}

	/** Who asks for the same while `build` goes on waits for it. */
	async #single(key: string, build: () => Promise<BuildResult>): Promise<BuildResult> {
		const work = build();
		// To others it is only that it is over: who is to blame for what, each finds out for itself.
		const over = work.catch(() => undefined);
		this.#underWay.set(key, over);
		try {
			return await work;
		} finally {
			if (this.#underWay.get(key) === over) this.#underWay.delete(key);
		}
	}

	async #made(version: Version, source: () => Promise<Uint8Array>, options: CodeLayerBuild, startedAt: number): Promise<BuildResult> {
		// A sandbox takes its time, and a tenant can draw it out: nothing is held meanwhile.
		const made = await bundle(version, await source(), options);
		if ("code" in made)
			return { ok: false, failure: made, report: { durationMs: performance.now() - startedAt, phases: {}, layers: [], warnings: [] } };
		return await this.#holding(async () =>
			this.#assemble(version, await storeCodeLayer(version, made, options), options.listener, startedAt),
		);
	}

	/** Removes the names of a function's images, and what nothing needs any more. @param kept the versions that there still are; default: none */
	async removeFunction(project: string, name: string, kept: () => Promise<ReadonlySet<number>> = async () => new Set()): Promise<void> {
		const { images } = this.#options.stores;
		const of = `${project}/${name}:`;
		const namesOfOthers = (numbers: ReadonlySet<number>) =>
			images.tags().flatMap(([tag]) => (tag.startsWith(of) && !numbers.has(Number.parseInt(tag.slice(of.length), 10)) ? [tag] : []));
		if (namesOfOthers(await kept()).length === 0) return;
		{
			// An image that is pulled has its name before it is on record.
			using _alone = await images.alone();
			await images.untag(...namesOfOthers(await kept()));
		}
		await this.collect();
	}

	/** Removes the name of a version's image, and what nothing needs any more. */
	removeVersion(version: Version): Promise<void> {
		return this.#remove((tag) => tag === imageTag(version) || tag === dependenciesName(version));
	}

	/** The functions (`project/name`) that images are of. */
	functions(): readonly string[] {
		const names = this.#options.stores.images.tags().map(([tag]) => tag.slice(0, tag.lastIndexOf(":")));
		return [...new Set(names)].filter((name) => !name.startsWith("base/"));
	}

	/** Removes blobs that no name leads to, and remembered keys whose layer is gone. @throws BerthError as `ImageStore.collect` */
	async collect(): Promise<void> {
		const { stores, onMend } = this.#options;
		const { images, keys } = stores;
		await images.collect(async (name, error) => {
			onMend(name, error);
			await this.#mend(name);
		});
		await keys.prune(async (value) => {
			const { digest } = value as { digest?: Parameters<typeof images.hasBlob>[0] };
			return digest === undefined || (await images.hasBlob(digest));
		});
	}

	/** What a manifest says is recorded elsewhere too: it is made again of that. A version that is gone needs no image. */
	async #mend(tag: string): Promise<void> {
		const { stores, bases, findVersion } = this.#options;
		const [, kind] = BASE_TAG.exec(tag) ?? [];
		const { project, function: name, number } = parseImageTag(tag) ?? { project: "", function: "", number: 0 };
		const base = bases[kind as keyof Bases] as Base | undefined;
		const version = kind === undefined ? await findVersion(project, name, number) : undefined;
		if (base === undefined && version === undefined) {
			await stores.images.untag(tag);
		} else if (base !== undefined) {
			await stores.images.tag(tag, (await storeImage(stores.images, base.layers, {})).manifest);
		} else if (version?.image !== undefined) {
			const { image } = version;
			const labels = imageLabels(version, image.base, image.entry, this.#options.vault);
			const made = await storeImage(stores.images, [...image.base.layers, ...image.layers], labels);
			await stores.images.tag(tag, made.manifest, version.createdAt);
		}
	}

	async #remove(isMeant: (tag: string) => boolean): Promise<void> {
		const { images } = this.#options.stores;
		const tags = images.tags().flatMap(([tag]) => (isMeant(tag) ? [tag] : []));
		if (tags.length === 0) return;
		await images.untag(...tags);
		await this.collect();
	}

	/** Nothing is collected from under `work`, whose blobs have no name yet. */
	async #holding<T>(work: () => Promise<T>): Promise<T> {
		using _hold = await this.#options.stores.images.hold();
		return await work();
	}

	async #assemble(version: Version, code: CodeLayer, listener: BuildListener, startedAt: number): Promise<BuildResult> {
		const { stores, bases } = this.#options;
		for (const line of linesOf(code)) listener.line(line);
		const imageAt = performance.now();
		const base = bases[version.manifest.runtime];
		await this.#lookFor(base);
		const { dependencies, lock } = code;
		const layers = dependencies?.inImage === true ? [dependencies.layer, code.layer] : [code.layer];
		const image = await storeImage(stores.images, [...base.layers, ...layers], imageLabels(version, base, code.entry, this.#options.vault));
		await stores.images.tag(imageTag(version), image.manifest, version.createdAt);
		const beside = [...(dependencies?.inImage === false ? [dependencies.layer] : []), ...(lock === undefined ? [] : [lock.layer])];
		if (beside.length > 0) await this.#keep(beside, version);
		const report: BuildReport = {
			durationMs: performance.now() - startedAt,
			phases: { ...code.phases, image: performance.now() - imageAt },
			layers: [...baseReport(base), ...dependencyReports(code), codeReport(code)],
			...(lock && { lockfile: lock.report }),
			warnings: code.warnings,
		};
		return {
			ok: true,
			image: { digest: image.digest, base, layers, entry: code.entry, ...(isImageSource(version.source) ? { isImage: true } : {}) },
			report,
			bundled: !code.cached,
		};
	}

	/** A base's layers, which no build makes. @throws BerthError `build_platform_error` when one is missing */
	async #lookFor({ layers }: Base): Promise<void> {
		for (const { digest } of layers) {
			if (await this.#options.stores.images.hasBlob(digest)) continue;
			throw new BerthError("build_platform_error", `Layer ${digest} of the base isn't in the artifact store; berth up makes it again.`);
		}
	}

	/**
	 * Packages that are all in the bundle aren't in the image; they stay for the version's sake: the next one has the same,
	 * most often. So does the lock file that they were resolved to.
	 */
	async #keep(layers: readonly Layer[], version: Version): Promise<void> {
		const { images } = this.#options.stores;
		const there = await Promise.all(layers.map(({ digest }) => images.hasBlob(digest)));
		const kept = layers.flatMap(({ digest, sizeBytes }, i) => (there[i] === true ? [{ digest, sizeBytes }] : []));
		if (kept.length === 0) return;
		const { manifest } = await storeImage(images, kept, {});
		await images.tag(dependenciesName(version), manifest);
	}
}

/** The name under which packages stay that a version was bundled with. */
function dependenciesName(version: Version): string {
	return `${imageTag(version)}.dependencies`;
}
