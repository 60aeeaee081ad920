import { statfs } from "node:fs/promises";
import {
	type AttemptRecord,
	ERRORS,
	type ErrorCode,
	type Lane,
	type Outcome,
	type SandboxInfo,
	type Settlement,
	type StartKind,
	type WaivableLimit,
} from "@berth/contracts";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { SECONDS } from "./buckets.js";

const PHASES = ["queue", "start", "init", "run"] as const;

/** What a worker exports: invocations, their phases and usage, builds, and the pool. */
export class WorkerMetrics {
	readonly registry = new Registry();
	readonly #invocations = new Counter({
		name: "berth_invocations_total",
		help: "Attempts that ended, by outcome (refused: a platform_error that is no fault of ours, as of a version that crashes again and again), start kind and lane",
		labelNames: ["outcome", "start", "lane"],
		registers: [this.registry],
	});
	readonly #phases = new Histogram({
		name: "berth_invocation_phase_seconds",
		help: "Time per phase of an attempt",
		labelNames: ["phase", "start"],
		buckets: SECONDS,
		registers: [this.registry],
	});
	readonly #attempts = new Counter({
		name: "berth_usage_attempts_total",
		help: "Attempts made, by project",
		labelNames: ["project"],
		registers: [this.registry],
	});
	readonly #cpu = new Counter({
		name: "berth_usage_cpu_seconds_total",
		help: "CPU time used, by project",
		labelNames: ["project"],
		registers: [this.registry],
	});
	readonly #memory = new Counter({
		name: "berth_usage_memory_byte_seconds_total",
		help: "Peak memory times run time, by project",
		labelNames: ["project"],
		registers: [this.registry],
	});
	readonly #builds = new Counter({
		name: "berth_builds_total",
		help: "Builds by result",
		labelNames: ["result"],
		registers: [this.registry],
	});
	readonly #layers = new Counter({
		name: "berth_build_layers_total",
		help: "Layers that builds needed, and whether they were there",
		labelNames: ["layer", "cached"],
		registers: [this.registry],
	});
	readonly #outcomes = new Map<Outcome, number>();

	/** @param sandboxes is asked when the metrics are read, and `failing` for how many versions crash again and again */
	constructor(sandboxes: () => readonly SandboxInfo[], failing: () => number = () => 0) {
		collectDefaultMetrics({ register: this.registry, prefix: "berth_worker_" });
		new Gauge({
			name: "berth_sandboxes",
			help: "Sandboxes by state and kind",
			labelNames: ["state", "kind"],
			registers: [this.registry],
			collect() {
				this.reset();
				for (const { state, kind } of sandboxes()) this.inc({ state, kind });
			},
		});
		new Gauge({
			name: "berth_failing_versions",
			help: "Versions that crash again and again, and wait for their next try",
			registers: [this.registry],
			collect() {
				this.set(failing());
			},
		});
	}

	/** @param count is asked when the metrics are read: sandboxes that functions are to have ready always, and don't */
	missing(count: () => number): void {
		new Gauge({
			name: "berth_missing_sandboxes",
			help: "Sandboxes that functions are to have ready always, and that aren't there: no memory is free, or they can't be loaded",
			registers: [this.registry],
			collect() {
				this.set(count());
			},
		});
	}

	/** @param isSpared is asked when the metrics are read */
	spared(isSpared: () => boolean): void {
		new Gauge({
			name: "berth_cpu_spared",
			help: "1 while sandboxes leave one CPU to the stack's own processes, which are behind",
			registers: [this.registry],
			collect() {
				this.set(isSpared() ? 1 : 0);
			},
		});
	}

	/** Limits of sandboxes that this node's host can't enforce: none is the same as no such metric. */
	unenforced(limits: readonly WaivableLimit[]): void {
		const gauge = new Gauge({
			name: "berth_unenforced_limits",
			help: "1 for each limit of sandboxes that the host can't enforce and its operator does without",
			labelNames: ["limit"],
			registers: [this.registry],
		});
		for (const limit of limits) gauge.set({ limit }, 1);
	}

	/** Tells how full the file system is that a directory is on, as users without privileges have it. */
	disk(directory: string): void {
		new Gauge({
			name: "berth_disk_bytes",
			help: "The file system that the data directory is on: its size, and what is free for the service user",
			labelNames: ["of"],
			registers: [this.registry],
			async collect() {
				const { bsize, blocks, bavail } = await statfs(directory);
				this.set({ of: "size" }, blocks * bsize);
				this.set({ of: "free" }, bavail * bsize);
			},
		});
	}

	/** Totals by outcome since the start. */
	get outcomes(): Readonly<Partial<Record<Outcome, number>>> {
		return Object.fromEntries(this.#outcomes);
	}

	settled(project: string, lane: Lane, { attempt }: Settlement): void {
		const start: StartKind | "none" = attempt.start ?? "none";
		this.#invocations.inc({ outcome: isOurs(attempt) ? attempt.outcome : "refused", start, lane });
		this.#outcomes.set(attempt.outcome, (this.#outcomes.get(attempt.outcome) ?? 0) + 1);
		this.#attempts.inc({ project });
		for (const phase of PHASES) this.#phases.observe({ phase, start }, attempt.phases[`${phase}Ms`] / 1000);
		if (attempt.usage === undefined) return;
		this.#cpu.inc({ project }, attempt.usage.cpuMs / 1000);
		this.#memory.inc({ project }, (attempt.usage.peakMemoryBytes * attempt.phases.runMs) / 1000);
	}

	built(result: "ready" | "failed", layers: readonly { readonly name: string; readonly cached: boolean }[]): void {
		this.#builds.inc({ result });
		for (const { name, cached } of layers) this.#layers.inc({ layer: name, cached: String(cached) });
	}
}

/** Whether an alarm for what the platform does wrong may count it: a tenant's function that is refused for its crashes must not set one off. */
function isOurs({ outcome, code }: AttemptRecord): boolean {
	const fault = code === undefined ? undefined : ERRORS[code as ErrorCode]?.fault;
	return outcome !== "platform_error" || fault === undefined || fault === "platform";
}
