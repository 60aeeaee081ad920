import type { QuestionBounds } from "./agent-protocol.js";
import type { HttpResponseHead, Outcome, ParentInvocation } from "./invocation.js";
import { FIXED_LIMITS } from "./limits.js";

/** How many invocations may come of one another, over networks of functions too, so that a circle ends. */
export const MOST_DEPTH = 8;

/** What an attempt has open of `ctx.invoke` at the same time: how many, and bytes of their payloads together. Its agent has the others wait. */
export const INVOKES_AT_ONCE = { count: 16, bytes: FIXED_LIMITS.bodyBytes } as const;

/** What a sandbox is destroyed for that asks more at once. */
export const INVOKE_QUESTIONS: QuestionBounds = {
	atOnce: 2 * INVOKES_AT_ONCE.count,
	bodyBytes: FIXED_LIMITS.bodyBytes,
	bytesAtOnce: 2 * INVOKES_AT_ONCE.bytes,
};

/** agent → worker, in a `question`; the body is the payload. Answered by an `InvokeReply`. */
export interface InvokeQuestion {
	readonly kind: "invoke";
	/** `stock`, `stock@canary` or `stock@3`. */
	readonly function: string;
	/** In the background: answered when it is accepted. */
	readonly async?: boolean;
	/** A shorter deadline than the function's own. */
	readonly timeoutMs?: number;
	readonly contentType?: string;
	/** What the same function asks again under it, of any of its invocations, is the invocation that it was the first time. */
	readonly idempotencyKey?: string;
}

/** agent → worker, in a `question`: nobody waits any longer for another question's answer. Answered by an empty reply. */
export interface AbandonQuestion {
	readonly kind: "abandon";
	readonly of: number;
}

/** worker → agent, in a `reply`; the body is the result's. */
export interface InvokeReply {
	/** The invocation, if one was accepted. */
	readonly id?: string;
	/** Of what was waited for, and ended well. */
	readonly response?: HttpResponseHead;
	readonly failed?: InvokeFailure;
}

/** Why an invocation by another function came to nothing. */
export interface InvokeFailure {
	/** Of the error catalogue, and its status. */
	readonly code: string;
	readonly status: number;
	readonly message: string;
	readonly retryable: boolean;
	/** How it ended, if it was accepted. */
	readonly outcome?: Outcome;
}

/** A worker's word to its gateway about what a function asks by `ctx.invoke`, as JSON in this header. */
export const INVOKING_HEADER = "berth-invoking";
export interface InvokingHead {
	readonly project: string;
	readonly parent: ParentInvocation;
	/** As in `InvokeQuestion`. */
	readonly function: string;
	/** How many invocations the asked one comes of, the asking one included. */
	readonly depth: number;
	/** When the asking one is killed, milliseconds since the epoch. Who is waited for has no longer. */
	readonly deadlineMs: number;
	readonly async: boolean;
	readonly timeoutMs?: number;
	readonly idempotencyKey?: string;
}
