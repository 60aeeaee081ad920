import type { FrameBounds } from "./framing.js";
import type { FunctionError, HttpResponseHead, ScheduleFiring, Trigger } from "./invocation.js";
import { FIXED_LIMITS } from "./limits.js";
import type { TraceContext } from "./trace.js";
import { KIB, MIB } from "./units.js";

/**
 * What worker and agent say to each other, in frames (framing.ts). The worker listens on one socket
 * per sandbox and takes one connection; the agent connects. Handler and agent share a process, so
 * the worker treats every frame it gets as the tenant's.
 */
export const TO_AGENT = { preload: 1, specialise: 2, invoke: 3, cancel: 4, reply: 5, credit: 10, body: 11 } as const;
export const FROM_AGENT = {
	hello: 16,
	preloaded: 17,
	specialised: 18,
	failed: 19,
	answer: 20,
	settled: 21,
	question: 22,
	streamed: 32,
	chunk: 33,
	taken: 34,
} as const;

/** Where things are inside a sandbox. */
export const SANDBOX_PATHS = {
	socket: "/run/berth/agent.sock",
	/** The function's layers appear below this directory when a sandbox is specialised. */
	graft: "/function",
	code: "/function/code",
	agent: "/berth/agent.cjs",
	/** A directory with a `__main__.py`. */
	pythonAgent: "/berth/python",
	/** What stands between the worker and a program of the function's own. */
	bridge: "/berth/bridge.cjs",
	/** In an image's sandbox, whose root is the image: where the base is, with bridge and Node. */
	imageBase: "/berth",
	/** Beside the code: how an image's program is started (ImageStart). */
	imageStart: "image.json",
	/** Where such a program listens. */
	http: "/tmp/berth.sock",
	/** Where it invokes other functions. */
	invoke: "/tmp/berth-invoke.sock",
	builder: "/berth/builder/builder.cjs",
	/** What packages' scripts compile with: npm's tool, and a directory with `include` for each runtime of Node. */
	nodeGyp: "/berth/node-gyp/node_modules/node-gyp/bin/node-gyp.js",
	nodeHeaders: "/berth/headers",
} as const;

/** An agent that is asked to compact its heap does so when no other invocation began for so long, milliseconds. */
export const COMPACTION_IDLE_MS = 200;

/** The agent's first argument where nobody is there for it to connect to: it serves HTTP by itself. Then the entry's path. */
export const SERVE = "serve";

/** Frames of a function's sandbox. */
export const AGENT_BOUNDS: FrameBounds = { maxHeadBytes: 256 * KIB, maxBodyBytes: FIXED_LIMITS.bodyBytes };
/** Frames of a build sandbox: archives in, code layers out: 64 MiB at most, and the list of what is in them. */
export const BUILD_BOUNDS: FrameBounds = { maxHeadBytes: MIB, maxBodyBytes: 66 * MIB };

/**
 * A sandbox may ask while it runs an invocation: `question`, answered by `reply` of the same number (`question` in either
 * head; what else is in them is build-protocol.ts for builds, invoking.ts for functions). Whoever asks more at once, or with
 * larger bodies, is destroyed.
 */
export interface QuestionBounds {
	readonly atOnce: number;
	readonly bodyBytes: number;
	/** Bodies of all that are open. */
	readonly bytesAtOnce: number;
}
/** A question is open until its reply has gone, which an agent may know a moment before its worker does: these are twice what agents keep to. */
export const BUILD_QUESTIONS: QuestionBounds = { atOnce: 64, bodyBytes: MIB, bytesAtOnce: 64 * MIB };

/** worker → agent: load this function. The body: what it trusts in TLS, PEM, where that isn't what it has. Answered by `specialised` or `failed` (phase `graft` or `init`). */
export interface SpecialiseHead {
	/** Absolute path of the bundle. Its absence means that the graft didn't arrive. */
	readonly entry: string;
	readonly project: string;
	readonly function: string;
	readonly version: number;
	readonly env: Readonly<Record<string, string>>;
	/** `fresh`: /tmp is emptied before every invocation but the first. */
	readonly scratch: "keep" | "fresh";
	/** Whether `entry` is an image's ImageStart, as JSON. */
	readonly isImage?: true;
	/** As an invocation's, before it says that it failed. */
	readonly outputMark?: string;
}

/** How an image's program is started: what its config says. */
export interface ImageStart {
	readonly args: readonly string[];
	readonly env: Readonly<Record<string, string>>;
	readonly cwd: string;
}

/** worker → agent: run it; the body is the payload. Answered by `answer` or `failed` (phase `handler`). */
export interface InvokeHead {
	readonly id: string;
	readonly attempt: number;
	/** Milliseconds from now after which the worker kills the sandbox. */
	readonly timeoutMs: number;
	readonly trigger: Trigger;
	/** What the function is to say to whoever it asks; an HTTP trigger has it in its headers, too. */
	readonly trace?: TraceContext;
	/** The most bytes an answer's body may have. */
	readonly maxBodyBytes: number;
	/** The most that its headers may have, as `headerBytesOf` counts. */
	readonly maxHeaderBytes: number;
	/** Whether the answer may come in pieces, and how many bytes they may have together; absent: it comes whole (stream-protocol.ts). */
	readonly stream?: { readonly maxBytes: number };
	/** Whether the request's body comes in `body` frames, after this one; only for agents that said `streams`. */
	readonly streamsBody?: true;
	/** Where output comes by another way than answers: what the agent prints to stdout and stderr when it is done, before it answers. */
	readonly outputMark?: string;
	/** The sandbox is left awake after this one for long enough to compact its heap (COMPACTION_IDLE_MS); only for agents that have one of Node's. */
	readonly compact?: true;
}

/** Tell a function that handles requests by which schedule it runs, when that was due, and whether it is made up for. Nobody else can say it. */
export const SCHEDULE_HEADERS = { name: "berth-schedule", dueAt: "berth-schedule-due", kind: "berth-schedule-kind" } as const;

/** A firing of a schedule as headers; none of what is no firing. */
export function scheduleHeaders(firing: ScheduleFiring | undefined): readonly (readonly [string, string])[] {
	if (firing === undefined) return [];
	return (["name", "dueAt", "kind"] as const).map((field) => [SCHEDULE_HEADERS[field], firing[field]]);
}

/** worker → agent: the caller is gone or the node drains; aborts the handler's signal. */
export interface CancelHead {
	readonly id: string;
}

/** agent → worker: `specialised`. */
export interface SpecialisedHead {
	/** The handler's shape. */
	readonly handler: "fetch" | "payload" | "event";
	/** Whether it takes a request's body in pieces. */
	readonly streams?: true;
	readonly initMs: number;
}

/** agent → worker: `failed`. */
export interface FailedHead {
	readonly phase: "graft" | "init" | "no_handler" | "handler" | "too_large";
	readonly error: FunctionError;
	/** In phase `handler` and `too_large`: which invocation, and `waiting` as in an answer. */
	readonly id?: string;
	readonly waiting?: boolean;
}

/** agent → worker: `answer`; the body follows the head. */
export interface AnswerHead {
	readonly id: string;
	readonly attempt: number;
	readonly runMs: number;
	readonly contentType?: string;
	readonly response?: HttpResponseHead;
	/** Whether promises given to `waitUntil` are still open; `settled` follows when they aren't. */
	readonly waiting: boolean;
}

/** Names and values of a response's headers together; in HTTP a character is a byte. The content type counts as one, too. */
export function headerBytesOf({ contentType = "", response }: Pick<AnswerHead, "contentType" | "response">): number {
	return (response?.headers ?? []).reduce((sum, [name, value]) => sum + name.length + value.length, contentType.length);
}

/** agent → worker: `settled`: nothing given to `waitUntil` is open any more. */
export interface SettledHead {
	readonly id: string;
}
