import {
	type AttemptRecord,
	BACKGROUND_INLINE_BYTES,
	BerthError,
	FIXED_LIMITS,
	type FunctionError,
	type InvocationRequest,
	type InvocationResult,
	type LogBook,
	type Outcome,
	type Phases,
	type Settlement,
	streamBytesOf,
	traceIdOf,
} from "@berth/contracts";
import type { Delivery } from "@berth/queue";
import type { ArtifactStore } from "@berth/registry";
import { type Lease, type Nesting, type Pool, type SandboxResult, type Specialisation, SpecialiseError } from "@berth/sandbox";
import type { WorkerMetrics } from "@berth/telemetry";
import type { AttemptSpans } from "./attempt-spans.js";
import type { InvocationEnds } from "./invocation-ends.js";
import type { Invokes } from "./invokes.js";
import { beginningOf, LateLogs } from "./late-logs.js";
import type { LineTeller, LogTail } from "./log-tail.js";
import { networkLack } from "./network-lack.js";
import { AttemptStreams } from "./streams/attempt-streams.js";
import type { GatewayPlaces } from "./streams/gateway-place.js";
import { tracedTrigger } from "./traced-trigger.js";
import type { ReadyVersions } from "./versions.js";

/** Logs up to this size stay in the record, bytes of JSON. */
const INLINE_LOG_BYTES = 8 * 1024;
/** How long a function may go on after it was told that its caller went away, milliseconds. */
const CANCEL_GRACE_MS = 5000;

export interface AttemptsOptions {
	readonly node: string;
	readonly pool: Pool;
	readonly versions: ReadyVersions;
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
	/** What the node lacks for networks of functions, if anything. */
	readonly networkMissing: string | undefined;
	/** Told of what costs an attempt no more than a part of its log. */
	readonly onTrouble: (message: string, error: unknown) => void;
	/** A stack in terms of the source; the error as it is when there is no map for it. */
	readonly remap: (error: FunctionError, target: Specialisation) => Promise<FunctionError>;
}

/** What ends an attempt before it runs, and is its caller's doing. */
const CALLERS: ReadonlySet<string> = new Set(["cancelled", "body_too_large"]);
/** What a function's end is called when it came of the cancellation: it threw on its signal, or was killed after the grace. */
const ENDED_BY_CANCEL: ReadonlySet<Outcome> = new Set(["handler_error", "crashed"]);

/** Runs attempts: a sandbox from the pool, the invocation in it, and everything there is to say about how it went. */
export class Attempts {
	readonly #options: AttemptsOptions;
	readonly #lateLogs: LateLogs;

	constructor(options: AttemptsOptions) {
		this.#options = options;
		this.#lateLogs = new LateLogs(options.artifacts.logs, options.onTrouble);
	}

	/** Never rejects for what a function does; a rejection is recorded as `platform_error` by the queue. */
	async run(delivery: Delivery): Promise<Settlement> {
		const traced = this.#options.spans?.begin(delivery);
		const settlement = await this.#settle(traced?.delivery ?? delivery);
		traced?.ended(settlement);
		this.#options.ends.ended(delivery, settlement);
		this.#options.metrics.settled(delivery.request.project, delivery.lane, settlement);
		return settlement;
	}

	async #settle(delivery: Delivery): Promise<Settlement> {
		const { request } = delivery;
		const askedAt = performance.now();
		try {
			const version = await this.#options.versions.get(request.project, request.function, request.version);
			const lack = networkLack(version.manifest, this.#options.networkMissing);
			if (lack !== undefined) throw new BerthError("network_unavailable", lack);
			const target: Specialisation = {
				key: `${request.project}/${request.function}:${request.version}`,
				project: request.project,
				function: request.function,
				version: request.version,
				image: version.image,
				manifest: version.manifest,
			};
			const lease = await this.#acquire(delivery, target, askedAt);
			if ("attempt" in lease) return lease;
			const streams = this.#streamsOf(lease, delivery, target);
			const body = await this.#bodyFor(lease, delivery, streams);
			return await this.#runIn(lease, delivery, target, body, streams);
		} catch (error) {
			if (!(error instanceof BerthError)) throw error;
			if (error.code === "function_not_found" && delivery.lane === "background")
				return this.#failed(delivery, deletedBefore(delivery, error));
			const phases = { queueMs: delivery.queueMs, startMs: performance.now() - askedAt, initMs: 0, runMs: 0 };
			return this.#failed(delivery, {
				outcome: CALLERS.has(error.code) ? "cancelled" : "platform_error",
				code: error.code,
				phases,
				error: { name: error.name, message: error.message },
			});
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
				await this.#logBook(delivery, error.log),
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
		const attempt: AttemptRecord = {
			attempt: delivery.attempt,
			outcome,
			start: lease.start,
			phases: rounded({ queueMs: delivery.queueMs, startMs: lease.startMs, initMs: lease.initMs, runMs: result.runMs }),
			usage: result.usage,
			limitsHit: result.limitsHit,
			...(result.error === undefined ? {} : { error: await this.#options.remap(result.error, target) }),
			...(outcome === "succeeded" ? {} : { code: outcome }),
			node: this.#options.node,
			sandbox: lease.sandbox.id,
			...(result.streamed === undefined ? {} : { streamed: result.streamed }),
			finishedAtMs: Date.now(),
		};
		const after = result.after && this.#lateLogs.keep(result.after);
		const logs = await this.#logBook(delivery, result.log, after);
		return {
			attempt,
			...(result.answer === undefined ? {} : { result: await this.#resultOf(result.answer, delivery) }),
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

	#teller({ request, attempt }: Delivery): LineTeller {
		const { project, function: name, version, id, trace } = request;
		const traceId = traceIdOf(trace);
		const source = { function: name, version, invocation: id, attempt, ...(traceId === undefined ? {} : { traceId }) };
		return this.#options.tail.teller(project, source);
	}

	/** Headers are for who waits: nobody is given those of a background result. */
	async #resultOf({ head, body }: NonNullable<SandboxResult["answer"]>, { lane }: Delivery): Promise<InvocationResult> {
		const { payloads, results } = this.#options.artifacts;
		return {
			body:
				lane === "background" ? await results.putBody(body, "durable", BACKGROUND_INLINE_BYTES) : await payloads.putBody(body, "fleeting"),
			...(head.contentType === undefined ? {} : { contentType: head.contentType }),
			...(head.response === undefined ? {} : { response: lane === "background" ? { ...head.response, headers: [] } : head.response }),
		};
	}

	#failed(delivery: Delivery, what: Pick<AttemptRecord, "outcome" | "code" | "phases" | "error">, logs?: LogBook): Settlement {
		const attempt = {
			attempt: delivery.attempt,
			...what,
			phases: rounded(what.phases),
			limitsHit: [],
			node: this.#options.node,
			finishedAtMs: Date.now(),
		};
		return { attempt, ...(logs === undefined ? {} : { logs }) };
	}

	/** @param after where what is printed after the answer will be */
	async #logBook({ lane }: Delivery, { lines, truncated }: SandboxResult["log"], after?: string): Promise<LogBook | undefined> {
		if (lines.length === 0 && !truncated && after === undefined) return undefined;
		const more = after === undefined ? {} : { after };
		const bytes = Buffer.from(JSON.stringify(lines));
		const inlineBytes = lane === "background" ? BACKGROUND_INLINE_BYTES : INLINE_LOG_BYTES;
		if (bytes.byteLength <= inlineBytes) return { lines, truncated, ...more };
		try {
			return { payload: await this.#options.artifacts.logs.put(bytes), truncated, ...more };
		} catch (error) {
			// Nobody's answer is lost for it: the beginning has room in the record.
			this.#options.onTrouble("a log couldn't be stored", error);
			return { lines: beginningOf(lines, inlineBytes), truncated: true, ...more };
		}
	}
}

/** Nobody can run it any more: its function or version was deleted while it waited. */
function deletedBefore({ queueMs }: Delivery, { name, message }: BerthError): Pick<AttemptRecord, "outcome" | "code" | "phases" | "error"> {
	return { outcome: "cancelled", code: "cancelled", phases: { queueMs, startMs: 0, initMs: 0, runMs: 0 }, error: { name, message } };
}

/** The caller went away while a sandbox was made ready: nothing of it ran. */
function cancelledBefore({ queueMs }: Delivery, { startMs, initMs }: Lease): Pick<AttemptRecord, "outcome" | "code" | "phases" | "error"> {
	const error = { name: "BerthError", message: "The caller went away before it began." };
	return { outcome: "cancelled", code: "cancelled", phases: { queueMs, startMs, initMs, runMs: 0 }, error };
}

/** Runs it, and gives the sandbox back. A lost lock kills it at once; a caller who went away gives it its signal and a grace. */
async function invokeIn(
	lease: Lease,
	{ request, attempt, lost, cancelled }: Delivery,
	body: Uint8Array,
	invokes: Invokes,
	streams: AttemptStreams | undefined,
): Promise<SandboxResult> {
	const { sandbox } = lease;
	const timeoutMs = timeLeftOf(request);
	const asks = invokes.begin(request, Date.now() + timeoutMs);
	sandbox.invocation = request.id;
	sandbox.depth = request.depth ?? 0;
	let grace: NodeJS.Timeout | undefined;
	// A kill that fails has its sandbox retired with the rest: the engine's loss ends this process.
	const onLost = () => void sandbox.kill().catch(() => undefined);
	const onCancelled = () => {
		if (grace !== undefined) return;
		sandbox.cancel(request.id);
		asks.cancel();
		grace = setTimeout(onLost, CANCEL_GRACE_MS);
	};
	lost.addEventListener("abort", onLost, { once: true });
	cancelled.addEventListener("abort", onCancelled, { once: true });
	if (streams !== undefined) streams.answer.onGone = onCancelled;
	let result: SandboxResult | undefined;
	try {
		const { id } = request;
		const { bodyBytes: maxBodyBytes, responseHeaderBytes: maxHeaderBytes } = FIXED_LIMITS;
		const head = { id, attempt, timeoutMs, ...tracedTrigger(request), maxBodyBytes, maxHeaderBytes };
		result =
			streams === undefined
				? await sandbox.invoke(head, body, asks.respond)
				: await sandbox.invoke(
						{ ...head, stream: { maxBytes: streams.maxBytes }, ...(streams.body === undefined ? {} : { streamsBody: true as const }) },
						body,
						asks.respond,
						streams,
					);
		return result;
	} finally {
		lost.removeEventListener("abort", onLost);
		cancelled.removeEventListener("abort", onCancelled);
		if (streams !== undefined) streams.answer.onGone = () => undefined;
		// How it went nobody will say: what has begun of its answer is cut off.
		if (result === undefined) streams?.end(false);
		clearTimeout(grace);
		asks.end();
		lease.release(result?.healthy ?? false, result && { runMs: result.runMs, cpuMs: result.usage.cpuMs });
	}
}

/** Nobody waits for what runs in the background, whoever asked for it. */
function nestingOf({ request: { id, depth = 0, parent }, lane }: Delivery): Nesting {
	if (lane === "background") return { invocation: id, depth: 0 };
	return { invocation: id, depth, ...(parent === undefined ? {} : { parent: parent.id }) };
}

/** How long it may run, milliseconds: whom another invocation waits for is over with that one. */
function timeLeftOf({ timeoutMs, depth = 0, expiresAtMs = Number.POSITIVE_INFINITY }: InvocationRequest): number {
	return depth === 0 ? timeoutMs : Math.max(1, Math.min(timeoutMs, expiresAtMs - Date.now()));
}

/** To the microsecond: what is beyond says nothing, and travels with every record. */
function rounded({ queueMs, startMs, initMs, runMs }: Phases): Phases {
	const microseconds = (ms: number) => Math.round(ms * 1000) / 1000;
	return { queueMs, startMs: microseconds(startMs), initMs: microseconds(initMs), runMs: microseconds(runMs) };
}
