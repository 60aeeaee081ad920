import type { FollowUpState, HookResult, Lane, ScheduleRun } from "@berth/contracts";
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from "prom-client";
import { SECONDS } from "./buckets.js";

/** What became of a lane's invocations. */
export interface LaneFigures {
	readonly accepted: number;
	readonly settled: number;
	readonly dead: number;
	readonly inFlight: number;
}

/** How much waits in a queue. */
export interface QueueFigures {
	readonly waiting: number;
	readonly active: number;
	readonly oldestMs: number;
}

/** What a function, or several, have queued in the background. */
export interface BacklogFigures {
	readonly waiting: number;
	readonly delayed: number;
	readonly active: number;
	readonly oldestMs: number;
}

/** What the durable Redis holds, bytes: at all, with what is in reserve; at most, or 0; settled records; dead letters. */
export interface MemoryBytes {
	readonly takenBytes: number;
	readonly maxBytes: number;
	readonly settledBytes: number;
	readonly deadBytes: number;
}

/** What a store of payloads holds of its budget, bytes. */
export interface StoreBytes {
	readonly takenBytes: number;
	readonly maxBytes: number;
}

/** How many functions have series of their own; no function's name, nor a project's, is that of all others together. */
export const BACKLOGS_TOLD = 20;
const OTHERS = { project: "(others)", function: "(others)" };

/** What a gateway exports: requests, the depth of the queues, and what became of what was accepted. */
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
		help: "Time from a request's head to the end of its answer",
		labelNames: ["route"],
		buckets: SECONDS,
		registers: [this.registry],
	});
	readonly #accepted = this.#laneCounter("berth_accepted_total", "Invocations that the queue accepted");
	readonly #settled = this.#laneCounter("berth_settled_total", "Invocations that ended with an outcome of their own");
	readonly #dead = this.#laneCounter("berth_dead_total", "Invocations given up: expired, lost with a worker, or dead letters");
	readonly #inFlight = this.#laneGauge("berth_in_flight", "Invocations that wait or run");
	readonly #unaccounted = this.#laneGauge(
		"berth_unaccounted",
		"accepted - settled - dead - in flight: not 0 for longer than a few seconds means that invocations were lost",
	);
	readonly #refused = new Counter({
		name: "berth_refused_total",
		help: "Invocations refused for want of room, by lane and by whose it was: a function's share of the places, what waits for it, its wait, or all places; in the background what a function or a project may have queued, or the memory of the durable Redis",
		labelNames: ["lane", "reason"],
		registers: [this.registry],
	});
	readonly #paced = new Counter({
		name: "berth_paced_total",
		help: "Requests that didn't begin at once, as the gateway was behind and their projects asked for more than others, by how it went on: waited, refused",
		labelNames: ["result"],
		registers: [this.registry],
	});
	readonly #depth = new Gauge({
		name: "berth_queue_depth",
		help: "Jobs per lane and state",
		labelNames: ["lane", "state"],
		registers: [this.registry],
	});
	readonly #oldest = this.#laneGauge("berth_queue_oldest_seconds", "Age of the oldest job that waits");
	readonly #backlog = new Gauge({
		name: "berth_function_queue_depth",
		help: `Background jobs by function and state: of the ${BACKLOGS_TOLD} functions that wait longest, and of all others together`,
		labelNames: ["project", "function", "state"],
		registers: [this.registry],
	});
	readonly #backlogOldest = new Gauge({
		name: "berth_function_queue_oldest_seconds",
		help: "How long the background job that is next could have run already, of the same functions; paused ones left out",
		labelNames: ["project", "function"],
		registers: [this.registry],
	});
	readonly #redis = new Gauge({
		name: "berth_redis_up",
		help: "Whether both Redis servers answered when this was read; if not, what is said of the queues is old",
		registers: [this.registry],
	});
	readonly #memory = new Gauge({
		name: "berth_durable_memory_bytes",
		help: "Memory of the durable Redis: taken, with what is in reserve for what isn't settled; max, its maxmemory, or 0; and of settled records and dead letters",
		labelNames: ["of"],
		registers: [this.registry],
	});
	readonly #payloads = new Gauge({
		name: "berth_payload_bytes",
		help: "What each store of bodies, results and logs holds as this gateway counted it, and its budget: taken, max",
		labelNames: ["store", "of"],
		registers: [this.registry],
	});
	#expires: Gauge | undefined;
	readonly #cut = new Counter({
		name: "berth_answers_cut_total",
		help: "Answers cut off because their clients didn't take them",
		registers: [this.registry],
	});
	readonly #deliveries = new Counter({
		name: "berth_hook_deliveries_total",
		help: "Deliveries to hooks by what became of them",
		labelNames: ["result"],
		registers: [this.registry],
	});
	readonly #firings = new Counter({
		name: "berth_schedule_firings_total",
		help: "Firings of schedules that this gateway decided about, by what became of them; missed ones counted up to 100 at once",
		labelNames: ["result"],
		registers: [this.registry],
	});
	readonly #firingLag = new Histogram({
		name: "berth_schedule_lag_seconds",
		help: "From the time at which a schedule fires, jitter included, until its invocation is accepted",
		buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 600, 3600],
		registers: [this.registry],
	});
	readonly #followUps = new Counter({
		name: "berth_follow_ups_total",
		help: "Tries to send what follows a settlement, by what it is and how it is then",
		labelNames: ["kind", "state"],
		registers: [this.registry],
	});
	readonly #nodes = new Gauge({
		name: "berth_node_up",
		help: "Whether a node's worker said its metrics; if not, they are missing here",
		labelNames: ["node"],
		registers: [this.registry],
	});

	constructor() {
		collectDefaultMetrics({ register: this.registry, prefix: "berth_gateway_" });
	}

	answered(route: string, status: number, seconds: number): void {
		this.#requests.inc({ route, status });
		this.#seconds.observe({ route }, seconds);
	}

	paced(result: "waited" | "refused"): void {
		this.#paced.inc({ result });
	}

	/** @param reason why an invocation was refused: `share`, `waiting`, `late` or `full` interactively, `function`, `project` or `memory` in the background */
	refused(lane: Lane, reason: string): void {
		this.#refused.inc({ lane, reason });
	}

	/** @param answers that were cut off because their clients didn't take them */
	cut(answers: number): void {
		this.#cut.inc(answers);
	}

	/** @param result what became of a delivery to a hook */
	delivered(result: HookResult): void {
		this.#deliveries.inc({ result });
	}

	/** @param result what became of a schedule's firing, or of so many */
	scheduled(result: ScheduleRun["result"], count = 1): void {
		this.#firings.inc({ result }, count);
	}

	/** @param lagMs how much later than it was to be a firing was accepted */
	fired(lagMs: number): void {
		this.#firingLag.observe(Math.max(0, lagMs) / 1000);
	}

	/** @param state how a callback, or a function that gets a settlement, is after a try */
	followedUp(kind: "callback" | "follower", state: FollowUpState): void {
		this.#followUps.inc({ kind, state });
	}

	/** Interactive: of this gateway, since its start. Background: of the whole lane, the same from every gateway. */
	lane(lane: Lane, { accepted, settled, dead, inFlight }: LaneFigures): void {
		for (const [counter, total] of [
			[this.#accepted, accepted],
			[this.#settled, settled],
			[this.#dead, dead],
		] as const) {
			counter.remove({ lane });
			counter.inc({ lane }, total);
		}
		this.#inFlight.set({ lane }, inFlight);
		this.#unaccounted.set({ lane }, accepted - settled - dead - inFlight);
	}

	queue(lane: Lane | "builds", { waiting, active, oldestMs }: QueueFigures): void {
		this.#depth.set({ lane, state: "waiting" }, waiting);
		this.#depth.set({ lane, state: "active" }, active);
		this.#oldest.set({ lane }, oldestMs / 1000);
	}

	/** The functions that wait longest, and all others. Who was told before and isn't among them any more has no series. */
	backlogs(longest: readonly (BacklogFigures & typeof OTHERS)[], others: BacklogFigures): void {
		this.#backlog.reset();
		this.#backlogOldest.reset();
		for (const { project, function: name, oldestMs, ...jobs } of [...longest, { ...OTHERS, ...others }]) {
			const labels = { project, function: name };
			for (const state of ["waiting", "delayed", "active"] as const) this.#backlog.set({ ...labels, state }, jobs[state]);
			this.#backlogOldest.set(labels, oldestMs / 1000);
		}
	}

	/** What the durable Redis holds, bytes. */
	durableMemory({ takenBytes, maxBytes, settledBytes, deadBytes }: MemoryBytes): void {
		for (const [of, bytes] of Object.entries({ taken: takenBytes, max: maxBytes, settled: settledBytes, dead: deadBytes }))
			this.#memory.set({ of }, bytes);
	}

	/** What a store of payloads holds. */
	payloads(store: string, { takenBytes, maxBytes }: StoreBytes): void {
		this.#payloads.set({ store, of: "taken" }, takenBytes);
		this.#payloads.set({ store, of: "max" }, maxBytes);
	}

	/** @param atMs when the certificate that it shows is good no more, Unix milliseconds. Plain HTTP has no such series */
	certificateExpires(atMs: number): void {
		this.#expires ??= new Gauge({
			name: "berth_certificate_expires_timestamp_seconds",
			help: "When the certificate that this gateway shows is good no more, Unix seconds",
			registers: [this.registry],
		});
		this.#expires.set(atMs / 1000);
	}

	redis(up: boolean): void {
		this.#redis.set(up ? 1 : 0);
	}

	/** @param answered of every node whether it answered */
	nodes(answered: ReadonlyMap<string, boolean>): void {
		this.#nodes.reset();
		for (const [node, up] of answered) this.#nodes.set({ node }, up ? 1 : 0);
	}

	#laneCounter(name: string, what: string): Counter<"lane"> {
		return new Counter({ name, help: `${what}, by lane`, labelNames: ["lane"], registers: [this.registry] });
	}

	#laneGauge(name: string, what: string): Gauge<"lane"> {
		return new Gauge({ name, help: `${what}, by lane`, labelNames: ["lane"], registers: [this.registry] });
	}
}
