import type { Settings } from "@berth/config";
import { BACKGROUND_LIMITS, HOUR_MS, MOST_AHEAD_MS } from "@berth/contracts";
import { DEAD_LETTERS_KEPT } from "@berth/queue";
import type { ArtifactStore } from "@berth/registry";
import type { DockerBuilds, SandboxEngine } from "@berth/sandbox";
import type { Logger } from "@berth/telemetry";
import type { Builds } from "./builds.js";
import type { ImageBudget } from "./images/budget.js";
import type { VersionLimit } from "./version-limit.js";

/** An invocation that is older isn't begun any more, whatever it was accepted for: what is left of its body, a crash left. */
const QUEUED_KEPT_MS = MOST_AHEAD_MS + BACKGROUND_LIMITS.maxAgeMs.max + HOUR_MS;
/** The same for what somebody waits with, for a quarter of an hour at most. */
const AWAITED_KEPT_MS = HOUR_MS;
/** Unpacked layers are copies of blobs: one that was wanted in neither of two days is made again when it is. */
const LAYERS_KEPT_MS = 48 * HOUR_MS;

export interface UpkeepOptions {
	readonly settings: Pick<Settings, "recordsMs" | "hookEventsMs">;
	readonly artifacts: Pick<ArtifactStore, "payloads" | "queued" | "requests" | "results" | "logs" | "deliveries">;
	readonly builds: Pick<Builds, "sweep" | "forget">;
	/** Absent: images may have as much as comes. */
	readonly budget: Pick<ImageBudget, "keep"> | undefined;
	readonly versionLimit: Pick<VersionLimit, "keep">;
	/** Absent where no Dockerfile may be built. */
	readonly dockerfiles: Pick<DockerBuilds, "prune"> | undefined;
	readonly engine: Pick<SandboxEngine, "dropLayers">;
	/** With the first key, where there are others. */
	readonly reseal: () => Promise<void>;
	readonly log: Logger;
}

/** Removes what nobody needs on this node any more: every hour, and as functions change. All of it in the background; what fails is tried again. */
export class Upkeep {
	readonly #options: UpkeepOptions;
	#timer: NodeJS.Timeout | undefined;

	constructor(options: UpkeepOptions) {
		this.#options = options;
	}

	/** Makes room for images and seals anew now, and does that and the rest every hour until `stop`. */
	start(): void {
		this.keepBudget();
		this.#reseal();
		this.#timer = setInterval(() => this.#hourly(), HOUR_MS);
	}

	stop(): void {
		clearInterval(this.#timer);
	}

	/** @param name `project/name` of a function that changed; undefined when any may have */
	changed(name: string | undefined): void {
		this.keepBudget();
		if (name === undefined) this.sweepImages();
		else this.#functionChanged(name);
	}

	/** Removes images of functions that are gone. */
	sweepImages(): void {
		const { builds, log } = this.#options;
		builds.sweep().catch((err: unknown) => log.error({ err }, "images that nobody needs couldn't be removed"));
	}

	/** Makes room for images. */
	keepBudget(): void {
		const { budget, log } = this.#options;
		budget?.keep().catch((err: unknown) => log.warn({ err }, "images beyond BERTH_IMAGES_MIB couldn't be removed; it is tried again"));
	}

	#functionChanged(name: string): void {
		const { builds, versionLimit, log } = this.#options;
		versionLimit.keep(name).catch((err: unknown) => log.error({ err, function: name }, "old versions of a function couldn't be removed"));
		builds.forget(name).catch((err: unknown) => log.error({ err, function: name }, "the images of a deleted function couldn't be removed"));
	}

	#hourly(): void {
		const { dockerfiles, engine, log } = this.#options;
		this.keepBudget();
		this.#reseal();
		this.#sweepPayloads().catch((err: unknown) => log.error({ err }, "old payloads couldn't be removed"));
		dockerfiles?.prune().catch((err: unknown) => log.error({ err }, "old images of Dockerfiles couldn't be removed"));
		engine.dropLayers(LAYERS_KEPT_MS).catch((err: unknown) => log.error({ err }, "layers that nobody wants couldn't be removed"));
	}

	#reseal(): void {
		const { reseal, log } = this.#options;
		reseal().catch((err: unknown) => log.error({ err }, "secrets couldn't be sealed with the first key; it is tried again"));
	}

	async #sweepPayloads(): Promise<void> {
		const { artifacts, settings } = this.#options;
		await artifacts.payloads.sweep(AWAITED_KEPT_MS);
		await artifacts.queued.sweep(QUEUED_KEPT_MS);
		await artifacts.requests.sweep(settings.recordsMs + HOUR_MS);
		await artifacts.results.sweep(settings.recordsMs + HOUR_MS);
		await artifacts.logs.sweep(DEAD_LETTERS_KEPT.ms + HOUR_MS);
		await artifacts.deliveries.sweep(settings.hookEventsMs);
	}
}
