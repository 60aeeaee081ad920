import { randomFillSync } from "node:crypto";

/** The trace that something belongs to, as W3C Trace Context writes it in headers. */
export interface TraceContext {
	/** `00-<trace id>-<span id>-<flags>`: the span is the one that whatever comes next is a child of. */
	readonly traceparent: string;
	/** What tracing systems on the way added, as it came. */
	readonly tracestate?: string;
}

export const TRACE_HEADERS = { parent: "traceparent", state: "tracestate" } as const;

/** OpenTelemetry's names of what decides which traces are recorded. */
export const TRACE_SAMPLERS = [
	"always_on",
	"always_off",
	"traceidratio",
	"parentbased_always_on",
	"parentbased_always_off",
	"parentbased_traceidratio",
] as const;

/** Which traces are recorded. */
export interface TraceSampler {
	readonly name: (typeof TRACE_SAMPLERS)[number];
	/** Of `…traceidratio`: which part of them, 0 to 1. */
	readonly ratio: number;
}

/** A `traceparent` in its parts. */
export interface Traceparent {
	/** 32 hex digits. */
	readonly traceId: string;
	/** 16 hex digits. */
	readonly spanId: string;
	/** Whether whoever began the trace records it, or wants it recorded. */
	readonly sampled: boolean;
}

/** Of a version that isn't 00 only the beginning is known (Trace Context, 3.2.4), and none is ff. */
const TRACEPARENT =
	/^(?:00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})|(?!00|ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?)$/;
const ZEROS = /^0+$/;
const SAMPLED = 1;

/** Trace Context, 3.3.1.3: `key=value`, at most 32 of them; and no more than has to be passed on. */
const STATE_MEMBER =
	/^(?:[a-z0-9][a-z0-9_\-*/]{0,240}@)?[a-z0-9][a-z0-9_\-*/]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]$/;
const STATE_MEMBERS = 32;
const STATE_CHARS = 512;

const ID_BYTES = { trace: 16, span: 8 } as const;
const pool = Buffer.alloc(4096);
let used = pool.length;

/** The parts of a `traceparent`; undefined when it isn't one. */
export function traceparentIn(text: string | undefined): Traceparent | undefined {
	const found = text === undefined || text.length > STATE_CHARS ? null : TRACEPARENT.exec(text);
	if (found === null) return undefined;
	const [, ...parts] = found;
	const [traceId, spanId, flags] = parts.filter((part) => part !== undefined) as [string, string, string];
	if (ZEROS.test(traceId) || ZEROS.test(spanId)) return undefined;
	return { traceId, spanId, sampled: (Number.parseInt(flags, 16) & SAMPLED) !== 0 };
}

/** What came in these headers; undefined when there is none, or it isn't one. A state that isn't one is left out. */
export function traceIn(headers: Readonly<Record<string, string | readonly string[] | undefined>>): TraceContext | undefined {
	const [parent, state] = [headers[TRACE_HEADERS.parent], headers[TRACE_HEADERS.state]].map((value) =>
		typeof value === "string" || value === undefined ? value : value.join(","),
	);
	if (parent === undefined || traceparentIn(parent) === undefined) return undefined;
	return { traceparent: parent, ...(state !== undefined && isTracestate(state) ? { tracestate: state } : {}) };
}

export function traceparentOf({ traceId, spanId, sampled }: Traceparent): string {
	return `00-${traceId}-${spanId}-${sampled ? "01" : "00"}`;
}

export function newTraceId(): string {
	return randomHex(ID_BYTES.trace);
}

export function newSpanId(): string {
	return randomHex(ID_BYTES.span);
}

/** The id of the trace; undefined when there is none. */
export function traceIdOf(trace: TraceContext | undefined): string | undefined {
	return trace && traceparentIn(trace.traceparent)?.traceId;
}

/** The trace as headers of a request. */
export function traceHeaders({ traceparent, tracestate }: TraceContext): readonly (readonly [string, string])[] {
	const parent = [TRACE_HEADERS.parent, traceparent] as const;
	return tracestate === undefined ? [parent] : [parent, [TRACE_HEADERS.state, tracestate]];
}

function isTracestate(text: string): boolean {
	const members = text
		.split(",")
		.map((member) => member.trim())
		.filter((member) => member !== "");
	return (
		text.length <= STATE_CHARS && members.length > 0 && members.length <= STATE_MEMBERS && members.every((one) => STATE_MEMBER.test(one))
	);
}

/** Never zeros alone, in any life of a universe. */
function randomHex(bytes: number): string {
	if (used + bytes > pool.length) {
		randomFillSync(pool);
		used = 0;
	}
	used += bytes;
	return pool.toString("hex", used - bytes, used);
}
