import { type ImageBuilder, imageTag, parseImageTag } from "@berth/builder";
import { type Digest, MIB, type SandboxInfo, type Version } from "@berth/contracts";
import type { ArtifactStore, BlobOrigin, FunctionRegistry } from "@berth/registry";
import type { Logger } from "@berth/telemetry";

/** Room is made down to this part of the budget, so that the next build doesn't begin it again. */
const LEFT = 0.9;
const KEPT_FOR_BUILDS = /^(.+)\.dependencies$/;

export interface ImageBudgetOptions {
	readonly bytes: number;
	readonly images: ArtifactStore["images"];
	readonly builder: Pick<ImageBuilder, "collect">;
	readonly functions: Pick<FunctionRegistry, "getFunction" | "getVersion">;
	readonly sandboxes: () => readonly SandboxInfo[];
	/** Where copies are; without one no version's image goes. */
	readonly origin: BlobOrigin | undefined;
	/** Lets go of unpacked layers that nobody wanted for an hour. */
	readonly dropUnpacked: () => Promise<unknown>;
	readonly log: Logger;
}

type Named = Pick<Version, "project" | "function" | "number"> & { readonly manifest: Digest; readonly createdAt: string };

/**
 * Keeps the blobs of images within a budget. What goes, the oldest first: packages that are kept for the next build alone; then
 * own layers of versions whose image is in the image repository, that no alias leads to, that aren't the newest of their function and have no
 * sandbox. Name, manifest and record stay: the layers are pulled again when the version is wanted.
 */
export class ImageBudget {
	readonly #options: ImageBudgetOptions;
	#running: Promise<void> | undefined;
	#complained = false;

	constructor(options: ImageBudgetOptions) {
		this.#options = options;
	}

	/** Makes room, should there be too little; one at a time. */
	keep(): Promise<void> {
		this.#running ??= this.#keep().finally(() => {
			this.#running = undefined;
		});
		return this.#running;
	}

	async #keep(): Promise<void> {
		const { bytes, log, dropUnpacked } = this.#options;
		if ((await this.#held()) <= bytes) return;
		await dropUnpacked();
		await this.#dropPackages();
		await this.#dropVersions();
		const held = await this.#held();
		if (held > bytes && !this.#complained)
			log.warn(
				{ heldMiB: Math.ceil(held / MIB), budgetMiB: bytes / MIB },
				"images hold more than BERTH_IMAGES_MIB and none can go: all are live, the newest, in use or in no image repository",
			);
		this.#complained = held > bytes;
	}

	async #held(): Promise<number> {
		return [...(await this.#options.images.blobs()).values()].reduce((sum, size) => sum + size, 0);
	}

	async #dropPackages(): Promise<void> {
		const { images, builder, bytes } = this.#options;
		const kept = images.tags().flatMap(([tag]) => (KEPT_FOR_BUILDS.test(tag) ? [{ tag, of: tag.replace(KEPT_FOR_BUILDS, "$1") }] : []));
		for (const { tag } of kept.sort((a, b) => older(images.createdAt(a.of), images.createdAt(b.of)))) {
			if ((await this.#held()) <= bytes * LEFT) return;
			await images.untag(tag);
			await builder.collect();
		}
	}

	async #dropVersions(): Promise<void> {
		const { images, bytes, log } = this.#options;
		if (this.#options.origin === undefined) return;
		const named = images.tags().flatMap(([tag, { digest }]): Named[] => {
			const version = parseImageTag(tag);
			return version === undefined ? [] : [{ ...version, manifest: digest, createdAt: images.createdAt(tag) ?? "" }];
		});
		for (const version of named.sort((a, b) => older(a.createdAt, b.createdAt))) {
			if ((await this.#held()) <= bytes * LEFT) return;
			const candidate = await this.#candidate(version);
			if (candidate === undefined) continue;
			const freed = await this.#drop(candidate);
			if (freed.length > 0)
				log.info({ function: version.function, version: version.number, freed }, "layers were left to the image repository");
		}
	}

	/** A version that may go for now; undefined when somebody may want it at once. */
	async #candidate({ project, function: name, number }: Named): Promise<Version | undefined> {
		const { functions, sandboxes } = this.#options;
		const summary = await functions.getFunction(project, name);
		if (summary === undefined || summary.latest === number || summary.aliases.some(({ weights }) => weights[number] !== undefined))
			return undefined;
		if (sandboxes().some((one) => one.project === project && one.function === name && one.version === number)) return undefined;
		const version = await functions.getVersion(project, name, number);
		return version?.copy?.state === "pushed" ? version : undefined;
	}

	/** Its own layers that no other stored version has, once the registry says that it has them. Nothing is built or pulled meanwhile. */
	async #drop(version: Version): Promise<readonly Digest[]> {
		const { images, origin } = this.#options;
		using _alone = await images.alone();
		const own = version.image?.layers ?? [];
		const others = new Set<Digest>();
		for (const [tag, { digest }] of images.tags()) {
			// By its name: another version may be the very same image.
			if (tag === imageTag(version)) continue;
			for (const layer of await images.digestsOf(digest)) others.add(layer);
		}
		const dropped: Digest[] = [];
		for (const { digest } of own) {
			if (others.has(digest) || !(await images.hasBlob(digest)) || (await origin?.has(digest)) !== true) continue;
			await images.removeBlob(digest);
			dropped.push(digest);
		}
		return dropped;
	}
}

function older(a = "", b = ""): number {
	return a < b ? -1 : a > b ? 1 : 0;
}
