import type { RetryPolicy } from "./background.js";
import type { Follow } from "./follow-up.js";
import type { LogLine } from "./log.js";
import type { TraceContext } from "./trace.js";
import { KIB } from "./units.js";

/** How an attempt ended. */
export const OUTCOMES = [
	"succeeded",
	"handler_error",
	"init_error",
	"timed_out",
	"out_of_memory",
	"crashed",
	"response_too_large",
	"cancelled",
	"platform_error",
] as const;
export type Outcome = (typeof OUTCOMES)[number];

/** How its sandbox came to be: booted for it, specialised from a prewarmed one, or used before. */
export const START_KINDS = ["boot", "prewarmed", "warm"] as const;
export type StartKind = (typeof START_KINDS)[number];

export type Lane = "interactive" | "background";

/** Milliseconds each part took. `queue` ends when the worker holds the invocation. */
export interface Phases {
	readonly queueMs: number;
	/** Until a sandbox with the function's layers in it was leased; 0 when warm. */
	readonly startMs: number;
	/** Loading the function's module; 0 when warm. */
	readonly initMs: number;
	readonly runMs: number;
}

/** What an attempt used, read from its cgroup. */
export interface Usage {
	readonly cpuMs: number;
	readonly peakMemoryBytes: number;
	readonly scratchBytes: number;
}

/** A cap that was touched without ending the attempt. */
export type LimitHit = "pids" | "memory" | "scratch" | "log" | "egress";

/** A function's own error, with its stack in terms of the source. */
export interface FunctionError {
	readonly name: string;
	readonly message: string;
	readonly stack?: string;
}

/**
 * A request or response body: text when it is valid UTF-8, else base64; above INLINE_BODY_BYTES
 * its key in the payload store.
 */
export type BodyReference =
	| { readonly text: string }
	| { readonly base64: string }
	| { readonly payload: string; readonly sizeBytes: number };

/** Bodies up to this size travel in the message; larger ones go through the payload store. */
export const INLINE_BODY_BYTES = 64 * KIB;

/** The same for bodies and logs of background invocations: they stay in Redis as long as their record. */
export const BACKGROUND_INLINE_BYTES = 4 * KIB;

/** An HTTP request as a function sees it. */
export interface HttpRequestHead {
	readonly method: string;
	/** Path below the function's own, and query: `/orders?id=1`. */
	readonly url: string;
	/** Lower-case names; several values of one name are several pairs. */
	readonly headers: readonly (readonly [string, string])[];
}

/** An HTTP response as a function gives it. */
export interface HttpResponseHead {
	readonly status: number;
	readonly headers: readonly (readonly [string, string])[];
}

/** That an invocation is a schedule's, and which of its firings. */
export interface ScheduleFiring {
	readonly name: string;
	/** ISO 8601: when it was due; it may run later. */
	readonly dueAt: string;
	/** `missed`: it is made up for, since nobody was there at the time. `manual`: somebody asked for it. */
	readonly kind: "due" | "missed" | "manual";
}

/** What to run: a payload for an event handler, or an HTTP request. */
export type Trigger =
	| { readonly kind: "event"; readonly contentType?: string; readonly schedule?: ScheduleFiring }
	| { readonly kind: "http"; readonly request: HttpRequestHead };

/** Where an invocation came from. */
export const INVOCATION_SOURCES = ["api", "hook", "schedule", "function", "replay", "redelivery"] as const;
export type InvocationSource = (typeof INVOCATION_SOURCES)[number];

/** Where the owning gateway takes an answer in pieces and gives a request's body, over HTTP (docs/streaming.md). */
export interface StreamPlace {
	/** `unix:` and a socket's path, or `http://`, a host and a port. */
	readonly address: string;
	/** Of this invocation alone: whoever has it may answer. */
	readonly token: string;
	/** Whether the request's body is to be had there; `body` is empty then. */
	readonly hasBody?: true;
}

/** What was streamed of an answer. */
export interface Streamed {
	readonly bytes: number;
	/** From the beginning of the run until the answer began, milliseconds. */
	readonly firstMs: number;
}

/** The invocation that another one comes of, and its function. */
export interface ParentInvocation {
	readonly id: string;
	readonly function: string;
}

/** An accepted invocation on its way to a worker. */
export interface InvocationRequest {
	readonly id: string;
	readonly project: string;
	readonly function: string;
	readonly version: number;
	readonly trigger: Trigger;
	readonly body: BodyReference;
	/** Wall-clock milliseconds since the epoch. */
	readonly acceptedAtMs: number;
	/** When the caller stops waiting; the worker drops what it gets later. Absent in the background. */
	readonly expiresAtMs?: number;
	/** Milliseconds the handler may run: the version's timeout, or the caller's shorter one. */
	readonly timeoutMs: number;
	/** How many invocations it comes of, by `ctx.invoke`, over a network of functions or by what follows a settlement; absent: none. */
	readonly depth?: number;
	/** Absent: `api`. */
	readonly source?: InvocationSource;
	/** The invocation whose payload it has. */
	readonly replayOf?: string;
	/** Absent where nobody would take a stream: answers are whole then. */
	readonly stream?: StreamPlace;
	/** The trace that it belongs to; its span is the gateway's. */
	readonly trace?: TraceContext;
	/** The one that asked for it, or whose settlement it is given. */
	readonly parent?: ParentInvocation;
	/** Background: not before then, milliseconds since the epoch. */
	readonly runAtMs?: number;
	/** Background: how it is tried again. */
	readonly retry?: RetryPolicy;
	/** Background: where its settlement is posted. */
	readonly callback?: string;
	/** Background: functions that get its settlement, by how it went. */
	readonly follow?: Follow;
	/** Background: whoever asked for it may ask again under this id, for as long as a dead letter is kept. It is one invocation all the same. */
	readonly again?: true;
}

/** What a handler answered. `response` is there for HTTP triggers and for handlers that return a Response. */
export interface InvocationResult {
	readonly body: BodyReference;
	readonly contentType?: string;
	readonly response?: HttpResponseHead;
}

/** One finished attempt. */
export interface AttemptRecord {
	readonly attempt: number;
	readonly outcome: Outcome;
	readonly start?: StartKind;
	readonly phases: Phases;
	readonly usage?: Usage;
	readonly limitsHit: readonly LimitHit[];
	readonly error?: FunctionError;
	/** A code of the error catalogue when the outcome isn't `succeeded`. */
	readonly code?: string;
	readonly node: string;
	readonly sandbox?: string;
	/** Why it didn't begin, with the code `function_failing`. */
	readonly crashLoop?: CrashLoop;
	/** When its answer was streamed; then there is no result. */
	readonly streamed?: Streamed;
	readonly finishedAtMs: number;
}

/** A version whose sandboxes end one after another before they answer: a node starts the next one later. */
export interface CrashLoop {
	/** Since the last answer. */
	readonly crashes: number;
	/** How the last one ended, with which words, and for which invocation. */
	readonly outcome: Outcome;
	readonly error: string;
	readonly invocation: string;
	/** Until the next one may be started, milliseconds. */
	readonly retryAfterMs: number;
}

/** Everything a worker says about an attempt when it is over. */
export interface Settlement {
	readonly attempt: AttemptRecord;
	readonly result?: InvocationResult;
	readonly logs?: LogBook;
}

/** The log lines of an attempt: in place while they are few, else in the payload store. */
export interface LogBook {
	readonly lines?: readonly LogLine[];
	/** Key in the payload store: a JSON array of LogLine. */
	readonly payload?: string;
	readonly truncated: boolean;
	/** Key in the payload store of what was printed after the answer, by what was given to `waitUntil`; there is nothing when nothing was. */
	readonly after?: string;
}
