import type { Lane, Outcome, SandboxInfo, Settlement, StartKind } from "@berth/contracts";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];
const PHASES = ["queue", "start", "init", "run"] as const;

/** What a gateway exports: requests, the depth of the queues, and what it accepted. */
export class GatewayMetrics {
	readonly registry = new Registry();
	readonly #requests = new Counter({
		name: "berth_http_requests_total",
		help: "HTTP requests by route and status",
		labelNames: ["route", "status"],
		registers: [this.registry],
	});
	readonly #seconds = new Histogram({
		name: "berth_http_request_seconds",
		help: "Time from a request's first byte to the end of its answer",
		labelNames: ["route"],
		buckets: SECONDS,
		registers: [this.registry],
	});
	readonly #accepted = new Counter({
		name: "berth_accepted_total",
		help: "Invocations accepted, by lane",
		labelNames: ["lane"],
		registers: [this.registry],
	});
	readonly depth = new Gauge({
		name: "berth_queue_depth",
		help: "Jobs per lane and state",
		labelNames: ["lane", "state"],
		registers: [this.registry],
	});
	readonly oldest = new Gauge({
		name: "berth_queue_oldest_seconds",
		help: "Age of the oldest job that waits, by lane",
		labelNames: ["lane"],
		registers: [this.registry],
	});

	constructor() {
		collectDefaultMetrics({ register: this.registry, prefix: "berth_gateway_" });
	}

	answered(route: string, status: number, seconds: number): void {
		this.#requests.inc({ route, status: String(status) });
		this.#seconds.observe({ route }, seconds);
	}

	accepted(lane: Lane): void {
		this.#accepted.inc({ lane });
	}
}

/** What a worker exports: invocations, their phases and usage, builds, and the pool. */
export class WorkerMetrics {
	readonly registry = new Registry();
	readonly #invocations = new Counter({
		name: "berth_invocations_total",
		help: "Attempts that ended, by outcome, start kind and lane",
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
	readonly #settled = new Counter({
		name: "berth_settled_total",
		help: "Attempts settled, by lane",
		labelNames: ["lane"],
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

	/** @param sandboxes is asked when the metrics are read */
	constructor(sandboxes: () => readonly SandboxInfo[]) {
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
	}

	/** Totals by outcome since the start. */
	get outcomes(): Readonly<Partial<Record<Outcome, number>>> {
		return Object.fromEntries(this.#outcomes);
	}

	settled(project: string, lane: Lane, { attempt }: Settlement): void {
		const start: StartKind | "none" = attempt.start ?? "none";
		this.#invocations.inc({ outcome: attempt.outcome, start, lane });
		this.#outcomes.set(attempt.outcome, (this.#outcomes.get(attempt.outcome) ?? 0) + 1);
		this.#settled.inc({ lane });
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
