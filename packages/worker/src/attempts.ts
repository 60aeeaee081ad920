import {
	type AttemptRecord,
	BerthError,
	type FunctionError,
	type LogBook,
	type Outcome,
	type Phases,
	type Settlement,
	streamBytesOf,
	traceIdOf,
} from "@berth/contracts";
import { type Delivery, HandedBackError, sharedNow } from "@berth/queue";
import type { ArtifactStore } from "@berth/registry";
import { type Lease, type Nesting, type Pool, type Specialisation, SpecialiseError } from "@berth/sandbox";
import type { WorkerMetrics } from "@berth/telemetry";
import { AttemptOutput } from "./attempt-output.js";
import { invokeIn } from "./attempt-run.js";
import type { AttemptSpans } from "./attempt-spans.js";
import { cancellation, cancelledBefore, deletedBefore, type EarlyEnd, heeded, refusedBefore, settledEarly } from "./early-end.js";
import type { InvocationEnds } from "./invocation-ends.js";
import type { Invokes } from "./invokes.js";
import type { LineTeller, LogTail } from "./log-tail.js";
import { rounded } from "./phases.js";
import { AttemptStreams } from "./streams/attempt-streams.js";
import type { GatewayPlaces } from "./streams/gateway-place.js";
import type { Targets } from "./targets.js";

export interface AttemptsOptions {
	readonly node: string;
	readonly pool: Pool;
	readonly targets: Pick<Targets, "of">;
	readonly artifacts: Pick<ArtifactStore, "payloads" | "queued" | "results" | "logs">;
	readonly metrics: WorkerMetrics;
	/** Told how each attempt ended. */
	readonly ends: Pick<InvocationEnds, "ended">;
	/** Absent: nobody collects spans. */
	readonly spans: AttemptSpans | undefined;
	/** Gateways, for answers in pieces. */
	readonly places: GatewayPlaces;
	/** Told of each line that is printed. */
	readonly tail: Pick<LogTail, "teller">;
	/** What functions ask of others. */
	readonly invokes: Invokes;
	/** Told of what costs an attempt no more than a part of its log. */
	readonly onTrouble: (message: string, error: unknown) => void;
	/** A stack in terms of the source; the error as it is when there is no map for it. */
	readonly remap: (error: FunctionError, target: Specialisation) => Promise<FunctionError>;
}

/** What a function's end is called when it came of the cancellation: it threw on its signal, or was killed after the grace. */
const ENDED_BY_CANCEL: ReadonlySet<Outcome> = new Set(["handler_error", "crashed"]);

/** Runs attempts: a sandbox from the pool, the invocation in it, and everything there is to say about how it went. */
export class Attempts {
	readonly #options: AttemptsOptions;
	readonly #output: AttemptOutput;

	constructor(options: AttemptsOptions) {
		this.#options = options;
		this.#output = new AttemptOutput(options.artifacts, options.onTrouble);
	}

	/** Never rejects for what a function does; a rejection is recorded as `platform_error` by the queue, but for that of one that was handed back. */
	async run(delivery: Delivery): Promise<Settlement> {
		const traced = this.#options.spans?.begin(delivery);
		const settlement = await this.#settle(traced?.delivery ?? delivery);
		// What ends before it begins is refused, or cancelled, by this node only while it is its own.
		if (!(await delivery.begin())) throw new HandedBackError();
		traced?.ended(settlement);
		this.#options.ends.ended(delivery, settlement);
		this.#options.metrics.settled(delivery.request.project, delivery.lane, settlement);
		return settlement;
	}

	async #settle(delivery: Delivery): Promise<Settlement> {
		const { request } = delivery;
		const askedAt = performance.now();
		try {
			const target = await this.#options.targets.of(request);
			const lease = await this.#acquire(delivery, target, askedAt);
			if ("attempt" in lease) return lease;
			if (!(await delivery.begin())) {
				lease.release(true);
				throw new HandedBackError();
			}
			const streams = this.#streamsOf(lease, delivery, target);
			const body = await this.#bodyFor(lease, delivery, streams);
			return await this.#runIn(lease, delivery, target, body, streams);
		} catch (error) {
			if (!(error instanceof BerthError)) throw error;
			if (error.code === "function_not_found" && delivery.lane === "background")
				return this.#failed(delivery, deletedBefore(delivery, error));
			return this.#failed(delivery, refusedBefore(delivery, error, performance.now() - askedAt));
		}
	}

	/** A lease, or the settlement when the function can't be loaded. */
	async #acquire(delivery: Delivery, target: Specialisation, askedAt: number): Promise<Lease | Settlement> {
		try {
			return await this.#options.pool.acquire(target, [delivery.cancelled, delivery.lost], nestingOf(delivery));
		} catch (error) {
			if (!(error instanceof SpecialiseError)) throw error;
			const phases: Phases = { queueMs: delivery.queueMs, startMs: 0, initMs: performance.now() - askedAt, runMs: 0 };
			for (const line of error.log.lines) this.#teller(delivery).line(line);
			const described = await this.#options.remap(error.error, target);
			return this.#failed(
				delivery,
				{ outcome: error.outcome, code: error.outcome, phases, error: described },
				await this.#output.logBook(delivery, error.log),
			);
		}
	}

	/** Its payload, read when there is a sandbox for it: who waits for one holds no body meanwhile. A failure gives the sandbox back. */
	async #bodyFor(lease: Lease, { request, lane }: Delivery, streams: AttemptStreams | undefined): Promise<Uint8Array> {
		const { payloads, queued } = this.#options.artifacts;
		try {
			if (request.stream?.hasBody === true && streams !== undefined) return await streams.payloadFor(lease);
			return await (lane === "background" ? queued : payloads).getBody(request.body);
		} catch (error) {
			lease.release(true);
			throw error;
		}
	}

	async #runIn(
		lease: Lease,
		delivery: Delivery,
		target: Specialisation,
		body: Uint8Array,
		streams: AttemptStreams | undefined,
	): Promise<Settlement> {
		const { cancelled, lost } = delivery;
		// Of a lost lease nothing may run; its settlement doesn't count, whatever it says.
		if (cancelled.aborted || lost.aborted) {
			lease.release(true);
			streams?.end(false);
			return this.#failed(delivery, cancelledBefore(delivery, lease));
		}
		const teller = this.#teller(delivery);
		lease.sandbox.onLine = teller.line;
		const result = await invokeIn(lease, delivery, body, this.#options.invokes, streams);
		teller.answered();
		const isCancelled = cancelled.aborted || streams?.answer.isGone === true;
		const outcome = isCancelled && ENDED_BY_CANCEL.has(result.outcome) ? "cancelled" : result.outcome;
		streams?.end(outcome === "succeeded");
		// How it was killed is our doing; what it threw is its own.
		const wasKilled = outcome === "cancelled" && result.outcome === "crashed";
		const error = wasKilled
			? cancellation(delivery, "while it ran; it didn't end by itself, and was killed")
			: outcome === "cancelled"
				? heeded(delivery, result.error)
				: result.error;
		const attempt: AttemptRecord = {
			attempt: delivery.attempt,
			outcome,
			start: lease.start,
			phases: rounded({ queueMs: delivery.queueMs, startMs: lease.startMs, initMs: lease.initMs, runMs: result.runMs }),
			usage: result.usage,
			limitsHit: result.limitsHit,
			...(error === undefined ? {} : { error: await this.#options.remap(error, target) }),
			...(outcome === "succeeded" ? {} : { code: outcome }),
			node: this.#options.node,
			sandbox: lease.sandbox.id,
			...(result.streamed === undefined ? {} : { streamed: result.streamed }),
			finishedAtMs: sharedNow(),
		};
		const logs = await this.#output.logsOf(delivery, result);
		return {
			attempt,
			...(result.answer === undefined ? {} : { result: await this.#output.resultOf(result.answer, delivery) }),
			...(logs === undefined ? {} : { logs }),
		};
	}

	/** What of it goes in pieces; undefined when nobody would take it so. */
	#streamsOf(
		{ start, startMs, initMs }: Lease,
		{ request, queueMs, lane }: Delivery,
		{ manifest }: Specialisation,
	): AttemptStreams | undefined {
		const { stream } = request;
		if (stream === undefined || lane === "background") return undefined;
		const beganAt = performance.now();
		const headOf = () => ({ start, phases: rounded({ queueMs, startMs, initMs, runMs: performance.now() - beganAt }) });
		return new AttemptStreams(this.#options.places, { ...request, stream }, streamBytesOf(manifest), headOf);
	}

	#failed(delivery: Delivery, end: EarlyEnd, logs?: LogBook): Settlement {
		return settledEarly(delivery, this.#options.node, end, logs);
	}

	#teller({ request, attempt }: Delivery): LineTeller {
		const { project, function: name, version, id, trace } = request;
		const traceId = traceIdOf(trace);
		const source = { function: name, version, invocation: id, attempt, ...(traceId === undefined ? {} : { traceId }) };
		return this.#options.tail.teller(project, source);
	}
}

/** Nobody waits for what runs in the background, whoever asked for it. */
function nestingOf({ request: { id, depth = 0, parent }, lane }: Delivery): Nesting {
	if (lane === "background") return { invocation: id, depth: 0 };
	return { invocation: id, depth, ...(parent === undefined ? {} : { parent: parent.id }) };
}
