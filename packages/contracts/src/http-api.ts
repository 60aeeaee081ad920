import type { Alias } from "./alias.js";
import type { Backlog } from "./background.js";
import type { CallbackRecord, FollowerRecord } from "./follow-up.js";
import type {
	CrashLoop,
	FunctionError,
	InvocationSource,
	Lane,
	LimitHit,
	Outcome,
	ParentInvocation,
	Phases,
	StartKind,
	Streamed,
	Usage,
} from "./invocation.js";
import type { InvocationState } from "./invocation-record.js";
import type { LogEntry } from "./log.js";
import type { FunctionSummary, Version } from "./version.js";

/** Headers that Berth adds to answers. */
export const HEADERS = {
	invocationId: "berth-invocation-id",
	serverTiming: "server-timing",
	/** Request: an archive's manifest as JSON. */
	manifest: "berth-manifest",
	/** Request: a shorter deadline than the function's timeout, milliseconds. */
	timeoutMs: "berth-timeout-ms",
	/** Request: when a background invocation is to run: ISO 8601, or milliseconds since the epoch. */
	runAt: "berth-run-at",
	/** Request: where the settlement of a background invocation is posted. */
	callbackUrl: "berth-callback-url",
	/** Request: what tells a repetition of it. */
	idempotencyKey: "idempotency-key",
	/** Request: the project that it is in, with the operator's key; default: `default`. */
	project: "berth-project",
	/** Response: it is the answer of an earlier request with the same key. */
	idempotencyReplayed: "idempotency-replayed",
	/** Response: the version that an invocation went to. */
	version: "berth-version",
	/** Response: the outcome, on every answer of an invocation. */
	outcome: "berth-outcome",
} as const;

/** `GET /v1/functions` */
export interface FunctionList {
	readonly functions: readonly FunctionSummary[];
}

/** `GET /v1/functions/{name}` */
export interface FunctionDetail extends FunctionSummary {
	/** Its background work. */
	readonly background: Backlog;
	/** The live version, else the latest. */
	readonly version: Version;
}

/** `PUT /v1/functions/{name}`: 201 when it was waited for, 202 otherwise, 200 when nothing changed. */
export interface DeployAnswer {
	readonly version: Version;
	/** Whether the latest version is ready and made of this very source and manifest: no new one was made. */
	readonly unchanged: boolean;
	/** Where `live` leads now: a deploy leaves it where it is when it was set by hand, split or rolled back. With 200 and 201. */
	readonly live?: Alias;
	/** What stands in the way of its invocations now, in sentences. */
	readonly warnings?: readonly string[];
}

/** `POST /v1/functions/{name}/rebase`: 200 when nothing is outdated or all was waited for, else 202. */
export interface RebaseAnswer {
	readonly rebased: readonly Version[];
}

/** `GET /v1/functions/{name}/versions`, newest first. */
export interface VersionList {
	readonly versions: readonly Version[];
}

/** `GET /v1/functions/{name}/aliases` */
export interface AliasList {
	readonly aliases: readonly Alias[];
}

/** `POST …/invocations` with `Prefer: respond-async` */
export interface AcceptedInvocation {
	readonly id: string;
	readonly state: InvocationState;
	/** ISO 8601: not before then. */
	readonly runAt?: string;
}

/** What there is to know of an invocation at a glance: an entry of `GET /v1/invocations`. */
export interface InvocationSummary {
	readonly id: string;
	readonly project: string;
	readonly function: string;
	readonly version: number;
	readonly lane: Lane;
	readonly state: InvocationState;
	readonly source: InvocationSource;
	/** The invocation that this one is a replay of. */
	readonly replayOf?: string;
	/** The replay by which it is no dead letter any more. */
	readonly replayedAs?: string;
	readonly acceptedAt: string;
	/** The invocation that asked for it by `ctx.invoke` or over a network of functions, and how many it comes of. */
	readonly parent?: ParentInvocation;
	readonly depth?: number;
	/** ISO 8601: not before then. */
	readonly runAt?: string;
	/** Of the trace that it belongs to (W3C Trace Context). */
	readonly traceId?: string;
	/** When its first attempt began. */
	readonly startedAt?: string;
	/** When it was settled for good. */
	readonly settledAt?: string;
	/** When somebody cancelled it. */
	readonly cancelAskedAt?: string;
	/**
	 * While it is queued in the background: what keeps it from being begun beside its turn, in a sentence. It is for later, its next attempt is, no node can run
	 * it, its function is paused or has as many running as it may, its version crashes again and again.
	 */
	readonly waitsFor?: string;
	/** Once it is settled. */
	readonly outcome?: Outcome;
	readonly code?: string;
	/** The number of the attempt that runs, or of the last one. */
	readonly attempt?: number;
	/** Attempts that have finished. */
	readonly attemptCount: number;
	/** Given up: a dead letter, unless `replayedAs` says that it was replayed since. */
	readonly dead?: true;
}

/** `GET /v1/invocations`, newest first. */
export interface InvocationList {
	readonly invocations: readonly InvocationSummary[];
	/** Goes on with older ones; absent: there are none. */
	readonly cursor?: string;
}

/** One finished attempt of an invocation. */
export interface AttemptAnswer {
	readonly attempt: number;
	readonly outcome: Outcome;
	readonly code?: string;
	readonly error?: FunctionError;
	readonly start?: StartKind;
	readonly phases: Phases;
	readonly usage?: Usage;
	readonly limitsHit: readonly LimitHit[];
	readonly node: string;
	readonly sandbox?: string;
	/** Why it didn't begin, with the code `function_failing`. */
	readonly crashLoop?: CrashLoop;
	readonly streamed?: Streamed;
	readonly finishedAt: string;
}

/** `GET /v1/invocations/{id}/attempts/{number}` */
export interface AttemptDetail extends AttemptAnswer {
	readonly logs: readonly LogEntry[];
	readonly logsTruncated: boolean;
	/** Whether the log was removed, to make room for newer ones. */
	readonly removed?: readonly "logs"[];
}

/** `GET /v1/invocations/{id}`: details and log are the last finished attempt's. */
export interface InvocationAnswer extends InvocationSummary, Partial<Omit<AttemptAnswer, "outcome" | "code" | "attempt">> {
	/** The first, and the newest ones, 10 in all. */
	readonly attempts: readonly AttemptAnswer[];
	/** The result of a background invocation, parsed when it is JSON. */
	readonly result?: {
		readonly contentType?: string;
		readonly status?: number;
		readonly json?: unknown;
		readonly text?: string;
		readonly base64?: string;
	};
	/** What was printed after the answer comes last. */
	readonly logs: readonly LogEntry[];
	readonly logsTruncated: boolean;
	/** What the attempt left and was removed since, to make room for newer ones; absent when all is there. */
	readonly removed?: readonly ("logs" | "result")[];
	/** How far the post of its settlement is. */
	readonly callback?: CallbackRecord;
	/** The function that its settlement is given to. */
	readonly follower?: FollowerRecord;
}

/** `POST /v1/invocations/{id}/cancel`: the record, as far as there is one, to a key that may read; `id` and `state` to others. */
export type CancelAnswer = Pick<InvocationAnswer, "id" | "state"> & Partial<InvocationAnswer>;

/**
 * `GET /v1/invocations/{id}/events`: `state` with its state and attempt, `waits` when what it waits for is another than before, `attempt` with an AttemptAnswer,
 * `end` with an InvocationSummary.
 */
export interface InvocationStateEvent {
	readonly state: InvocationState;
	/** The attempt that began. */
	readonly attempt?: number;
	readonly at: string;
}

/** What an invocation waits for now; absent: its turn alone. */
export interface InvocationWaitsEvent {
	readonly waitsFor?: string;
}

/** `POST /v1/invocations/{id}/replay` */
export interface ReplayAnswer {
	readonly id: string;
	readonly state: InvocationState;
	readonly replayOf: string;
	readonly version: number;
}

/** `POST /v1/dead-letters/replay` */
export interface DeadLettersReplayed {
	readonly replayed: readonly ReplayAnswer[];
	/** They stay dead letters. */
	readonly skipped: readonly { readonly id: string; readonly code: string; readonly reason: string }[];
	/** Goes on with older ones; absent: that was all. */
	readonly cursor?: string;
}

/** `DELETE /v1/dead-letters` */
export interface DeadLettersPurged {
	readonly purged: number;
	readonly cursor?: string;
}
