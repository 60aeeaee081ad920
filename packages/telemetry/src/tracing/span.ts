/** Something that took its time, within a trace (OpenTelemetry). */
export interface Span {
	/** 32 hex digits. */
	readonly traceId: string;
	/** 16 hex digits. */
	readonly spanId: string;
	readonly parentSpanId?: string;
	readonly name: string;
	readonly kind: "internal" | "server" | "producer" | "consumer";
	/** Milliseconds since the epoch, with what is below. */
	readonly startMs: number;
	readonly endMs: number;
	readonly attributes: Readonly<Record<string, string | number | boolean>>;
	/** Why it failed, if it did. */
	readonly error?: string;
}

/** Takes spans that are over. It never throws, and never waits. */
export interface SpanSink {
	take(span: Span): void;
}
