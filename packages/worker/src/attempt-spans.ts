import { newSpanId, type Settlement, type TraceContext, traceparentIn, traceparentOf } from "@berth/contracts";
import type { Delivery } from "@berth/queue";
import type { Span, SpanSink } from "@berth/telemetry";

/** An attempt of a trace that is recorded. */
export interface TracedAttempt {
	/** What its function is given: it goes on from the span of its run. */
	readonly delivery: Delivery;
	ended(settlement: Settlement): void;
}

/** The worker's part in traces: a span for each attempt, and below it one for each phase. Made of the phases when it is over. */
export class AttemptSpans {
	readonly #sink: SpanSink;

	constructor(sink: SpanSink) {
		this.#sink = sink;
	}

	/** Undefined when nobody records the trace. */
	begin(delivery: Delivery): TracedAttempt | undefined {
		const { request } = delivery;
		const parent = traceparentIn(request.trace?.traceparent);
		if (parent === undefined || !parent.sampled) return undefined;
		const run = newSpanId();
		const trace: TraceContext = { ...request.trace, traceparent: traceparentOf({ ...parent, spanId: run }) };
		return {
			delivery: { ...delivery, request: { ...request, trace } },
			ended: (settlement) => {
				for (const span of spansOf(delivery, settlement, parent, run)) this.#sink.take(span);
			},
		};
	}
}

/** Phases follow one another, and the last one's end is the attempt's. */
function spansOf(
	{ request, lane }: Delivery,
	{ attempt }: Settlement,
	parent: { readonly traceId: string; readonly spanId: string },
	run: string,
): Span[] {
	const { queueMs, startMs, initMs, runMs } = attempt.phases;
	const endMs = attempt.finishedAtMs;
	const beganMs = endMs - runMs - initMs - startMs - queueMs;
	const id = newSpanId();
	const { traceId } = parent;
	const failed = attempt.outcome === "succeeded" ? {} : { error: attempt.error?.message ?? attempt.outcome };
	const own: Span = {
		traceId,
		spanId: id,
		parentSpanId: parent.spanId,
		name: "attempt",
		kind: lane === "background" ? "consumer" : "internal",
		startMs: beganMs,
		endMs,
		attributes: {
			"faas.invocation_id": request.id,
			"faas.name": request.function,
			"faas.version": String(request.version),
			"faas.coldstart": attempt.start !== "warm",
			"berth.project": request.project,
			"berth.attempt": attempt.attempt,
			"berth.outcome": attempt.outcome,
			"berth.node": attempt.node,
			...(attempt.start === undefined ? {} : { "berth.start": attempt.start }),
			...(attempt.sandbox === undefined ? {} : { "berth.sandbox": attempt.sandbox }),
		},
		...failed,
	};
	let fromMs = beganMs;
	const phase = (name: string, ms: number, spanId: string, attributes: Span["attributes"] = {}): Span => {
		const span: Span = { traceId, spanId, parentSpanId: id, name, kind: "internal", startMs: fromMs, endMs: fromMs + ms, attributes };
		fromMs += ms;
		return span;
	};
	const kind = attempt.start === undefined ? {} : { "berth.start": attempt.start };
	const queue = phase("queue", queueMs, newSpanId());
	const [start, init] = [phase("start", startMs, newSpanId(), kind), phase("init", initMs, newSpanId())];
	// A warm sandbox loads nothing; what never came to run has no run.
	const began = [...(startMs > 0 ? [start] : []), ...(initMs > 0 ? [init] : [])];
	return [own, queue, ...began, ...(runMs > 0 ? [{ ...phase("run", runMs, run), ...failed }] : [])];
}
