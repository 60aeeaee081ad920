import { setTimeout as pause } from "node:timers/promises";
import { imageTag, parseImageTag } from "@berth/builder";
import type { Settings } from "@berth/config";
import { BerthError, type ImageReference, MINUTE_MS, SECOND_MS, type Version } from "@berth/contracts";
import { type RegistryAccess, Repository } from "@berth/distribution";
import type { ArtifactStore, BlobOrigin, FunctionRegistry, VersionName } from "@berth/registry";
import type { Logger } from "@berth/telemetry";
import { copyTag } from "./copy-tag.js";
import { pushImage } from "./push.js";
import { Counts, ToldCounts } from "./push-progress.js";

/** How long after a try that failed the next round comes, twice as long each time. */
const AGAIN_MS = { first: SECOND_MS, most: MINUTE_MS } as const;

const CLOSING_MS = 2 * SECOND_MS;

/** Where copies of all images are. */
export interface MirrorPlace {
	readonly access: RegistryAccess;
	/** The repository. */
	readonly name: string;
}

/** The place that the settings name, on a registry that they list: they were checked. */
export function mirrorPlaceOf({ imageRepository, registries }: Pick<Settings, "imageRepository" | "registries">): MirrorPlace | undefined {
	const access = registries.find(({ host }) => host === imageRepository?.host);
	return imageRepository && access && { access, name: imageRepository.name };
}

/** What is asked for blobs that this node misses. */
export function mirrorOrigin({ access, name }: MirrorPlace, onBrought: BlobOrigin["onBrought"]): BlobOrigin {
	const repository = new Repository(access, name, "pull");
	return {
		async *read(digest) {
			try {
				yield* repository.readBlob({ digest });
			} catch (error) {
				if (!(error instanceof BerthError) || error.code !== "image_not_found") throw error;
				// A registry keeps manifests apart.
				yield (await repository.readManifest(digest)).bytes;
			}
		},
		has: (digest) => repository.hasBlob(digest),
		onBrought,
	};
}

export interface MirrorOptions {
	readonly place: MirrorPlace;
	readonly artifacts: Pick<ArtifactStore, "images" | "keys" | "sources">;
	readonly functions: FunctionRegistry;
	readonly log: Logger;
	/** One more copy is there. */
	readonly onPushed: () => void;
}

type Ready = Version & Required<Pick<Version, "image">>;

/**
 * Pushes the image of every version to the stack's own repository, after it is ready and one after another. What is to be pushed
 * isn't listed anywhere: it is every named image whose version doesn't say that it was, so nothing gets lost with a
 * worker, and what was made before there was a repository follows.
 */
export class Mirror {
	readonly #options: MirrorOptions;
	readonly #pushed = new Set<string>();
	readonly #tries = new Map<string, number>();
	readonly #closing = new AbortController();
	#news = Promise.withResolvers<void>();
	#running: Promise<void> = Promise.resolve();

	constructor(options: MirrorOptions) {
		this.#options = options;
	}

	/** Pushes until `close`. */
	start(): void {
		this.#running = this.#run();
	}

	/** Something may be ready. */
	wake(): void {
		this.#news.resolve();
	}

	/** Pushes an image now, before its version is ready: other machines have it from there alone. @param say told how far it is, where it takes long @throws BerthError */
	async publish(version: Version, { digest }: ImageReference, say: (text: string) => void): Promise<void> {
		const { access, name } = this.#options.place;
		const { host } = access;
		const target = { repository: new Repository(access, name, "push"), host, name, reference: copyTag(version) };
		using counts = new ToldCounts(this.#closing.signal, host, say);
		try {
			await pushImage(digest, target, this.#options.artifacts, counts, true);
		} catch (cause) {
			if (!(cause instanceof BerthError) || cause.code !== "registry_failed") throw cause;
			const mend = "see to that registry (`berth doctor` on this machine asks it), and try again";
			throw new BerthError(cause.code, `the image can't be put into BERTH_IMAGE_REPOSITORY (${host}/${name}): ${cause.message}; ${mend}`, {
				cause,
			});
		}
	}

	/** What is under way is left to the next worker. Waits until nothing is being written, unless a registry says nothing. */
	async close(): Promise<void> {
		this.#closing.abort();
		this.#news.resolve();
		await Promise.race([this.#running, pause(CLOSING_MS, undefined, { ref: false })]);
	}

	async #run(): Promise<void> {
		let failures = 0;
		let hasLooked = false;
		while (!this.#closing.signal.aborted) {
			this.#news = Promise.withResolvers();
			try {
				if (!hasLooked) await this.#lookWhatIsThere();
				hasLooked = true;
				failures = (await this.#round()) ? 0 : failures + 1;
			} catch (err) {
				failures++;
				this.#options.log.warn({ err }, "copies of images are put off");
			}
			if (failures === 0) await this.#news.promise;
			else await this.#rest(failures);
		}
	}

	async #rest(failures: number): Promise<void> {
		const ms = Math.min(AGAIN_MS.first * 2 ** (failures - 1), AGAIN_MS.most) * (0.75 + Math.random() / 2);
		await pause(ms, undefined, { signal: this.#closing.signal }).catch(() => undefined);
	}

	async #lookWhatIsThere(): Promise<void> {
		const named = this.#named();
		const copies = await this.#options.functions.copiesOf(named.map(nameOf));
		for (const [i, version] of named.entries()) {
			const copy = copies[i];
			if (copy?.state === "pushed" && copy.reference === this.#referenceOf(version)) this.#pushed.add(imageTag(version));
		}
	}

	/** What isn't there yet, what failed least often first. @returns whether all is there */
	async #round(): Promise<boolean> {
		const waiting = this.#named().filter((version) => !this.#pushed.has(imageTag(version)));
		const triesOf = (version: Named) => this.#tries.get(imageTag(version)) ?? 0;
		let isWhole = true;
		for (const named of waiting.sort((a, b) => triesOf(a) - triesOf(b))) {
			if (this.#closing.signal.aborted) return true;
			const version = await this.#options.functions.getVersion(named.project, named.function, named.number);
			// Its build ends yet, or it was deleted: there will be news.
			if (version?.image === undefined) continue;
			const error = await this.#push(version as Ready);
			if (error === undefined) continue;
			isWhole = false;
			// The others would fare no better.
			if (error.code === "registry_failed") return false;
		}
		return isWhole;
	}

	async #push(version: Ready): Promise<BerthError | undefined> {
		const { place, artifacts, functions, log } = this.#options;
		const tag = imageTag(version);
		const tries = (this.#tries.get(tag) ?? 0) + 1;
		const counts = new Counts(this.#closing.signal);
		const reference = this.#referenceOf(version);
		const record = (copy: Pick<NonNullable<Version["copy"]>, "state" | "sentBlobs" | "problem">) =>
			functions.setCopy(nameOf(version), { reference, tries, at: new Date().toISOString(), ...copy });
		try {
			const { access, name } = place;
			const target = { repository: new Repository(access, name, "push"), host: access.host, name, reference: copyTag(version) };
			await pushImage(version.image.digest, target, artifacts, counts, true);
			await record({ state: "pushed", sentBlobs: counts.sentBlobs });
			this.#pushed.add(tag);
			this.#tries.delete(tag);
			this.#options.onPushed();
			log.info({ image: tag, reference, sentBlobs: counts.sentBlobs }, "an image was pushed");
			return undefined;
		} catch (error) {
			if (this.#closing.signal.aborted) return undefined;
			const cause = error instanceof BerthError ? error : new BerthError("platform_error", (error as Error).message, { cause: error });
			this.#tries.set(tag, tries);
			log.warn({ err: error, image: tag, reference, tries }, "an image couldn't be pushed; it is tried again");
			await record({ state: "failing", problem: { code: cause.code, detail: cause.message } });
			return cause;
		}
	}

	#named(): Named[] {
		return this.#options.artifacts.images.tags().flatMap(([tag]) => parseImageTag(tag) ?? []);
	}

	#referenceOf(version: Named): string {
		const { access, name } = this.#options.place;
		return `${access.host}/${name}:${copyTag(version)}`;
	}
}

type Named = Pick<Version, "project" | "function" | "number">;

function nameOf({ project, function: name, number }: Named): VersionName {
	return { project, function: name, version: number };
}
