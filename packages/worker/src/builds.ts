import type { ImageBuilder } from "@berth/builder";
import type { NodeStats, Version } from "@berth/contracts";
import type { BuildTask } from "@berth/queue";
import type { ArtifactStore, FunctionRegistry } from "@berth/registry";
import type { Logger, WorkerMetrics } from "@berth/telemetry";

const ATTEMPTS = 3;

export interface BuildsOptions {
	readonly functions: FunctionRegistry;
	readonly artifacts: ArtifactStore;
	readonly builder: ImageBuilder;
	readonly metrics: WorkerMetrics;
	readonly log: Logger;
	/** Brings a version's layers to where sandboxes find them, so that the first invocation needn't. */
	readonly warmLayers: (version: Version) => Promise<void>;
}

/** Takes versions from `queued` to `ready` or `failed`. */
export class Builds {
	readonly #options: BuildsOptions;
	#started = 0;
	#bundled = 0;
	#layersReused = 0;

	constructor(options: BuildsOptions) {
		this.#options = options;
	}

	get counts(): NodeStats["builds"] {
		return { started: this.#started, bundled: this.#bundled, layersReused: this.#layersReused };
	}

	/** Rejects when we are to blame and it may be tried again; the last try ends the version as failed. */
	async run(task: BuildTask, attempt: number): Promise<void> {
		const { functions, log } = this.#options;
		const version = await functions.getVersion(task.project, task.function, task.version);
		if (version === undefined || version.state === "ready" || version.state === "failed") return;
		if (!(await functions.setBuilding(version))) return;
		try {
			await this.#build(version);
		} catch (error) {
			log.error({ err: error, ...task, attempt }, "a build failed for a reason of ours");
			if (attempt < ATTEMPTS) throw error;
			const failure = {
				code: "build_platform_error" as const,
				phase: "image" as const,
				message: `Berth couldn't build it: ${(error as Error).message}`,
				diagnostics: [],
			};
			await functions.endBuild(version, { state: "failed", failure, build: { durationMs: 0, phases: {}, layers: [], warnings: [] } });
		}
	}

	/** A function is gone: so are its images. */
	async forget(name: string): Promise<void> {
		const [project = "", functionName = ""] = name.split("/");
		const { functions, builder } = this.#options;
		if ((await functions.getFunction(project, functionName)) === undefined) await builder.removeFunction(project, functionName);
	}

	async #build(version: Version): Promise<void> {
		const { functions, artifacts, builder, metrics, warmLayers } = this.#options;
		this.#started++;
		const result = await builder.build(version, () => artifacts.sources.get(version.source.digest));
		this.#layersReused += result.report.layers.filter(({ cached }) => cached).length;
		metrics.built(result.ok ? "ready" : "failed", result.report.layers);
		if (!result.ok) {
			await functions.endBuild(version, { state: "failed", failure: result.failure, build: result.report });
			return;
		}
		if (result.bundled) this.#bundled++;
		await warmLayers({ ...version, image: result.image });
		await functions.endBuild(version, { state: "ready", image: result.image, build: result.report });
	}
}
