import type { Span } from "./span.js";

/** Numbers of OTLP's `SpanKind`. */
const KINDS = { internal: 1, server: 2, producer: 4, consumer: 5 } as const;
const STATUS_ERROR = 2;
const SCOPE = "berth";

/** What all spans of a process are of. */
export type Resource = Readonly<Record<string, string>>;

/** An `ExportTraceServiceRequest` as OTLP 1.x writes it in JSON: ids in hex, times in nanoseconds as text. */
export function otlpOf(spans: readonly Span[], resource: Resource): object {
	return {
		resourceSpans: [
			{
				resource: { attributes: attributesOf(resource) },
				scopeSpans: [{ scope: { name: SCOPE }, spans: spans.map(spanOf) }],
			},
		],
	};
}

function spanOf({ traceId, spanId, parentSpanId, name, kind, startMs, endMs, attributes, error }: Span): object {
	return {
		traceId,
		spanId,
		...(parentSpanId === undefined ? {} : { parentSpanId }),
		name,
		kind: KINDS[kind],
		startTimeUnixNano: nanoseconds(startMs),
		endTimeUnixNano: nanoseconds(Math.max(startMs, endMs)),
		attributes: attributesOf(attributes),
		...(error === undefined ? {} : { status: { code: STATUS_ERROR, message: error } }),
	};
}

function attributesOf(attributes: Readonly<Record<string, string | number | boolean>>): readonly object[] {
	return Object.entries(attributes).map(([key, value]) => ({ key, value: valueIn(value) }));
}

function valueIn(value: string | number | boolean): object {
	if (typeof value === "string") return { stringValue: value };
	if (typeof value === "boolean") return { boolValue: value };
	return Number.isInteger(value) ? { intValue: String(value) } : { doubleValue: value };
}

/** A double hasn't the digits for nanoseconds of this century; microseconds it has. */
function nanoseconds(ms: number): string {
	return `${BigInt(Math.round(ms * 1000)) * 1000n}`;
}
