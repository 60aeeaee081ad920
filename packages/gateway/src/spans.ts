import { type InvocationRequest, type Settlement, type TraceContext, traceparentIn } from "@berth/contracts";
import type { Tracing } from "@berth/telemetry";

interface Begun {
	readonly parentSpanId: string | undefined;
	readonly startMs: number;
}

/** The gateway's part in traces: each invocation gets a span, from its acceptance to its answer, or to where it is on disk. */
export class GatewaySpans {
	readonly #tracing: Tracing;
	/** Of those that are recorded. */
	readonly #begun = new WeakMap<TraceContext, Begun>();

	constructor(tracing: Tracing) {
		this.#tracing = tracing;
	}

	/** What an invocation is given. @param from what its request said of one */
	begin(from: TraceContext | undefined): TraceContext {
		const trace = this.#tracing.next(from);
		if (this.#tracing.sink !== undefined && traceparentIn(trace.traceparent)?.sampled === true) {
			this.#begun.set(trace, { parentSpanId: traceparentIn(from?.traceparent)?.spanId, startMs: nowMs() });
		}
		return trace;
	}

	/** @param how its settlement when it was waited for; `queued` when it is on disk; undefined when it was neither */
	ended({ id, project, function: name, version, trace }: InvocationRequest, how: Settlement | "queued" | undefined): void {
		const begun = trace && this.#begun.get(trace);
		const own = traceparentIn(trace?.traceparent);
		if (begun === undefined || own === undefined) return;
		const outcome = typeof how === "object" ? how.attempt.outcome : how;
		const { parentSpanId, startMs } = begun;
		this.#tracing.sink?.take({
			traceId: own.traceId,
			spanId: own.spanId,
			...(parentSpanId === undefined ? {} : { parentSpanId }),
			name: "gateway.accept",
			kind: how === "queued" ? "producer" : "server",
			startMs,
			endMs: nowMs(),
			attributes: {
				"faas.invocation_id": id,
				"faas.name": name,
				"faas.version": String(version),
				"berth.project": project,
				...(outcome === undefined ? {} : { "berth.outcome": outcome }),
			},
			...(outcome === "succeeded" || outcome === "queued" ? {} : { error: outcome ?? "it has no outcome" }),
		});
	}
}

function nowMs(): number {
	return performance.timeOrigin + performance.now();
}
