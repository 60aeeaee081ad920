import { builtLayers, type ImageBuilder } from "@berth/builder";
import {
	BerthError,
	type BuildFailure,
	type BuildReport,
	type ImageReference,
	type NodeStats,
	type RuntimeClass,
	type RuntimeClassReports,
	runtimeClassLack,
	type Version,
} from "@berth/contracts";
import type { BuildTask, EventLog, NewEvent } from "@berth/queue";
import type { ArtifactStore, FunctionRegistry } from "@berth/registry";
import type { Logger, WorkerMetrics } from "@berth/telemetry";
import { networkLack } from "./network-lack.js";
import { VersionLog } from "./version-log.js";

const ATTEMPTS = 3;
/** Starts of one build, those included that a worker's death cut short: what kills workers isn't tried for ever. */
const STARTS = 6;

export interface BuildsOptions {
	readonly functions: FunctionRegistry;
	readonly artifacts: Pick<ArtifactStore, "sources">;
	readonly builder: ImageBuilder;
	readonly metrics: WorkerMetrics;
	readonly events: Pick<EventLog, "record">;
	readonly log: Logger;
	/** Why no function may have a network on this node; undefined when it may. */
	readonly networkMissing: string | undefined;
	readonly runtimeClasses: RuntimeClassReports;
	/** Whether some node has a class that this one lacks: what is built here may run there. */
	readonly isClassElsewhere: (runtimeClass: RuntimeClass) => Promise<boolean>;
	/** Brings an image to where other machines have it from; absent: there are none. @throws BerthError */
	readonly publish?: ((version: Version, image: ImageReference, say: (text: string) => void) => Promise<void>) | undefined;
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

	/** Rejects when we are to blame and it may be tried again; the last try ends the version as failed. @param rejected how many before did */
	async run(task: BuildTask, attempt: number, rejected: number): Promise<void> {
		const { functions, log } = this.#options;
		const version = await functions.getVersion(task.project, task.function, task.version);
		if (version === undefined || version.state === "ready" || version.state === "failed") return;
		if (!(await functions.setBuilding(version))) return;
		if (attempt > STARTS) {
			await this.#giveUp(version, `${attempt - 1} workers began it and none ended it`);
			return;
		}
		const said = new VersionLog(functions.logs, version, log);
		// Those that were rejected have said why.
		const isCutShort = attempt > rejected + 1;
		if (attempt > 1) said.line({ kind: "step", text: `attempt ${attempt}${isCutShort ? ": one before was cut short" : ""}` });
		try {
			await this.#build(version, said);
		} catch (error) {
			log.error({ err: error, ...task, attempt }, "a build failed for a reason of ours");
			if (attempt < ATTEMPTS) {
				said.line({ kind: "step", text: `it is tried again: ${(error as Error).message}` });
				throw error;
			}
			const code = error instanceof BerthError && error.code === "storage_full" ? error.code : "build_platform_error";
			// It may have got as far as an image; or to its end, and only the answer was lost.
			if (await this.#giveUp(version, (error as Error).message, code)) await this.#options.builder.removeVersion(version);
		}
	}

	/** A function or version that is gone takes its images with it. @param name `project/name` */
	async forget(name: string): Promise<void> {
		const [project = "", functionName = ""] = name.split("/");
		const { functions, builder } = this.#options;
		if (!(await this.#isRecorded())) return;
		await builder.removeFunction(project, functionName, () => functions.numbersOf(project, functionName));
	}

	/** The same for all that went while nobody listened, and for what half-finished builds left. */
	async sweep(): Promise<void> {
		const { builder, log } = this.#options;
		if (!(await this.#isRecorded())) {
			log.warn("the durable Redis knows none of the functions whose images are stored: `berth recover` brings them back");
			return;
		}
		for (const name of builder.functions()) await this.forget(name);
		await builder.collect();
	}

	/** Nothing is removed for not being on record while the records themselves are lost. */
	async #isRecorded(): Promise<boolean> {
		const { functions, builder } = this.#options;
		return (await functions.store.find(builder.functions().length > 0)) === "whole";
	}

	async #build(version: Version, said: VersionLog): Promise<void> {
		const { functions, artifacts, builder, metrics, warmLayers } = this.#options;
		this.#started++;
		if (await this.#isLacking(version, said)) return;
		const layers = await this.#layersOfBefore(version);
		const result = await (layers === undefined
			? builder.build(version, () => artifacts.sources.get(version.source.digest), said)
			: builder.rebase(version, layers, said));
		said.diagnostics(result.ok ? result.report.warnings : result.failure.diagnostics);
		const built = builtLayers(result.report);
		this.#layersReused += built.filter(({ cached }) => cached).length;
		metrics.built(result.ok ? "ready" : "failed", built);
		if (!result.ok) {
			said.failure(result.failure);
			await this.#fail(version, result.failure, result.report);
			return;
		}
		if (result.bundled) this.#bundled++;
		const published = this.#options.publish?.(version, result.image, (text) => said.line({ kind: "step", text }));
		// Neither goes on beside the next attempt when the other fails.
		const ends = await Promise.allSettled([warmLayers({ ...version, image: result.image }), published]);
		for (const end of ends) if (end.status === "rejected") throw end.reason;
		const ended = await this.#endReady(version, result.image, result.report, said);
		if (ended) this.#tell(version, { what: "ready" });
		// Its function was deleted while it was built.
		if (!ended && (await functions.getVersion(version.project, version.function, version.number)) === undefined) {
			await builder.removeVersion(version);
		}
	}

	/** A version whose layers are too much for its project fails, and its image goes. @returns false when the version is gone or final already */
	async #endReady(version: Version, image: ImageReference, build: BuildReport, said: VersionLog): Promise<boolean> {
		const { functions, builder } = this.#options;
		try {
			return await functions.endBuild(version, { state: "ready", image, build });
		} catch (error) {
			if (!(error instanceof BerthError) || error.code !== "quota_exceeded") throw error;
			const failure = { code: error.code, phase: "image", message: error.message, diagnostics: [] } as const;
			said.failure(failure);
			if (await this.#fail(version, failure, build)) await builder.removeVersion(version);
			return false;
		}
	}

	/**
	 * A version that is rebased is built like any other, unless it came from a registry: then its source isn't here, only its
	 * layers; or its source is an image's name, or begins with one (FROM), which may mean another one by now.
	 */
	async #layersOfBefore({ project, function: name, rebasedFrom, source }: Version): Promise<ImageReference | undefined> {
		const { functions, artifacts } = this.#options;
		if (rebasedFrom === undefined) return undefined;
		if (source.kind !== "image-reference" && source.kind !== "dockerfile" && (await artifacts.sources.has(source.digest))) return undefined;
		return (await functions.getVersion(project, name, rebasedFrom))?.image;
	}

	/** Said when it is deployed; invocations only meet it where the node has changed since. */
	async #isLacking(version: Version, said: VersionLog): Promise<boolean> {
		const noNetwork = networkLack(version.manifest, this.#options.networkMissing);
		const message = noNetwork ?? (await this.#classLack(version));
		if (message === undefined) return false;
		const code = noNetwork === undefined ? "runtime_class_unavailable" : "network_unavailable";
		const failure = { code, phase: "check", message, diagnostics: [] } as const;
		said.failure(failure);
		await this.#fail(version, failure, { durationMs: 0, phases: {}, layers: [], warnings: [] });
		return true;
	}

	async #classLack({ manifest: { runtimeClass } }: Version): Promise<string | undefined> {
		const { runtimeClasses, isClassElsewhere } = this.#options;
		const lack = runtimeClassLack(runtimeClass, runtimeClasses);
		return lack !== undefined && runtimeClass !== undefined && (await isClassElsewhere(runtimeClass)) ? undefined : lack;
	}

	#tell({ project, function: name, number }: Version, how: Pick<NewEvent, "what" | "reason">): void {
		this.#options.events.record(project, { kind: "build", function: name, version: number, ...how });
	}

	#giveUp(version: Version, why: string, code: BuildFailure["code"] = "build_platform_error"): Promise<boolean> {
		const failure: BuildFailure = { code, phase: "image", message: `Berth couldn't build it: ${why}`, diagnostics: [] };
		return this.#fail(version, failure, { durationMs: 0, phases: {}, layers: [], warnings: [] });
	}

	/** Ends a version as failed, unless it has ended; its source goes unless another version is made of it. @returns whether it failed by this */
	async #fail(version: Version, failure: BuildFailure, build: BuildReport): Promise<boolean> {
		const { functions, artifacts } = this.#options;
		const failed = await functions.endBuild(version, { state: "failed", failure, build });
		if (failed) this.#tell(version, { what: "failed", reason: failure.code });
		const { digest } = version.source;
		await artifacts.sources.remove(digest, (one) => functions.usesSource(one));
		return failed;
	}
}
