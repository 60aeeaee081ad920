import type { CallbackRecord, FollowerRecord } from "./follow-up.js";
import type { AttemptRecord, InvocationResult, InvocationSource, Lane, LogBook, Outcome, ParentInvocation } from "./invocation.js";

/** `queued → running → settled`; a background attempt that is tried again goes back to `queued`. */
export type InvocationState = "queued" | "running" | "settled";

/** The stored truth about an invocation. */
export interface InvocationRecord {
	readonly id: string;
	readonly project: string;
	readonly function: string;
	readonly version: number;
	readonly lane: Lane;
	readonly state: InvocationState;
	readonly acceptedAtMs: number;
	readonly source?: InvocationSource;
	readonly replayOf?: string;
	/** Of the trace that it belongs to. */
	readonly traceId?: string;
	/** The one that asked for it, and how many it comes of. */
	readonly parent?: ParentInvocation;
	readonly depth?: number;
	/** Not before then, milliseconds since the epoch. */
	readonly runAtMs?: number;
	/** The last attempt: flattened into the HTTP answer as `phases`, `usage`, `attempt`. */
	readonly last?: AttemptRecord;
	readonly result?: InvocationResult;
	readonly logs?: LogBook;
	/** How far the post of its settlement is. */
	readonly callback?: CallbackRecord;
	/** What follows its settlement. */
	readonly follower?: FollowerRecord;
	/** What only background invocations have. */
	readonly background?: BackgroundHistory;
}

/** How an invocation ended; undefined while it hasn't. */
export function outcomeOf({ state, last, background }: InvocationRecord): Outcome | undefined {
	return state === "settled" ? (background?.outcome ?? last?.outcome) : undefined;
}

/** A finished attempt, and what it logged. */
export interface LoggedAttempt extends AttemptRecord {
	readonly logs?: LogBook;
}

/** Attempts of one invocation that its record keeps: the first, and the newest up to this many in all. */
export const ATTEMPTS_KEPT = 10;

/** What became of a background invocation so far. */
export interface BackgroundHistory {
	/** Finished ones, in their order. */
	readonly attempts: readonly LoggedAttempt[];
	/** How many have finished, those that aren't kept included. */
	readonly attemptCount: number;
	/** The number of the one that runs, or of the last that ran; 0 before the first. */
	readonly attempt: number;
	/** When the first attempt began. */
	readonly startedAtMs?: number;
	/** When `attempt` began. */
	readonly beganAtMs?: number;
	/** When the attempt after the last one that failed may begin, or might: not before. */
	readonly nextAtMs?: number;
	/** When it was settled for good. */
	readonly settledAtMs?: number;
	/** How it ended, once it is settled: as its last attempt, unless it was cancelled between two of them. */
	readonly outcome?: Outcome;
	readonly code?: string;
	/** Whether it is a dead letter, or was one. */
	readonly dead: boolean;
	readonly cancelAskedAtMs?: number;
	/** The replay that took it from among the dead letters. */
	readonly replayedAs?: string;
}
