import { newSpanId, newTraceId, type TraceContext, type TraceSampler, traceparentIn, traceparentOf } from "@berth/contracts";
import { isSampled } from "./sampler.js";
import type { SpanSink } from "./span.js";

/** How requests go on with traces, and where spans of theirs go, if anywhere. */
export class Tracing {
	readonly #sampler: TraceSampler;
	/** Absent: nobody collects spans. */
	readonly sink: SpanSink | undefined;

	constructor(sampler: TraceSampler, sink?: SpanSink) {
		this.#sampler = sampler;
		this.sink = sink;
	}

	/** What comes next in a trace, with a span of its own, or in a new one. A state is another one's to read, and is handed on. */
	next(from: TraceContext | undefined): TraceContext {
		const parent = traceparentIn(from?.traceparent);
		const traceId = parent?.traceId ?? newTraceId();
		const sampled = isSampled(this.#sampler, traceId, parent);
		const traceparent = traceparentOf({ traceId, spanId: newSpanId(), sampled });
		return from?.tracestate === undefined ? { traceparent } : { traceparent, tracestate: from.tracestate };
	}
}
