import type { Backlog, InvocationRecord, InvocationRequest, Settlement } from "@berth/contracts";
import type { Page, Wanted } from "./background-lists.js";
import type { Cancelled, KeptRequest } from "./background-records.js";
import type { DeadLetters } from "./dead-letters.js";
import type { HeldBody } from "./left-bodies.js";

/** Why an invocation is cancelled, as its record says it. */
export const CANCEL_WORDS = {
	asked: "cancelled by request",
	left: "its caller went away",
	stalled: "its client took too little of the answer (BERTH_ANSWER_STALL_MS), and was cut off,",
	stopped: "its gateway stopped",
} as const;
export type CancelReason = keyof typeof CANCEL_WORDS;

/** Interactive and background lanes as the gateway sees them. */
export interface InvocationQueue {
	/**
	 * Interactive: places the invocation on a node's queue and waits for its settlement.
	 * Subscribed before it is added; after a reconnect the stored record is read again.
	 * @throws BerthError `unavailable`, `cancelled` (nothing was accepted), `expired_in_queue`, `worker_lost`
	 */
	run(node: string, request: InvocationRequest): Promise<Settlement>;
	/**
	 * Interactive: nobody is to wait for it any more. What hasn't begun is dropped without a start, as
	 * `cancelled`; what runs gets its abort signal. `run` still ends with the settlement, or rejects when it
	 * wasn't in the queue yet. A hint: it may get lost. Does nothing for an id that isn't waited for.
	 * @param why what its record says @param project does nothing either when it is another project's
	 * @returns whether it is waited for
	 */
	cancel(id: string, why: CancelReason, project?: string): boolean;
	/**
	 * Interactive: nobody waits any longer. What hasn't begun is taken back, and `unavailable`, as is all that comes; all else is cancelled, and rejected as `worker_lost`:
	 * it may have begun. Resolves within 0.3 s, when all are told. Called again it does nothing more, and resolves with the first call.
	 */
	giveUp(): Promise<void>;
	/** Interactive: the same as `cancel` at whichever gateway waits for it, this one among them. @returns whether one does @throws BerthError `unavailable` */
	cancelAnywhere(id: string, project: string): Promise<boolean>;
	/**
	 * Background: resolves after the durable write. One of an id that was accepted before changes nothing.
	 * @param inDoubt what happens to what may have arrived when this rejects: default `take back`, perhaps some time after; `leave` for an id
	 * that may be asked for again, which would be taken back with it
	 * @param onUnneeded called once it is certain that the body it came with isn't needed, perhaps some time after this has rejected: nothing of it
	 * is there, or its id was accepted before, with another body; never when it is left in doubt, or is run
	 * @throws BerthError `unavailable`, `queue_full`, `storage_full`
	 */
	enqueue(request: InvocationRequest, inDoubt?: "take back" | "leave", onUnneeded?: () => Promise<unknown>): Promise<void>;
	/** Background: what is accepted of a function waits until it is resumed; what runs goes on. Doing it twice changes nothing. */
	pause(of: FunctionName): Promise<Backlog>;
	resume(of: FunctionName): Promise<Backlog>;
	/** A function was deleted: what it has queued is settled as cancelled when its turn comes, and nothing is kept of it after that. Does nothing while it is on record. */
	forget(of: FunctionName): Promise<void>;
	/** The same for all that were deleted and have something left. @returns of how many nothing is left now */
	forgetDeleted(): Promise<number>;
	backlog(of: FunctionName): Promise<Backlog>;
	/** What of its own keeps a function's next background invocation from being begun now. @throws BerthError unavailable */
	heldUp(of: FunctionName): Promise<HeldUp>;
	/** Names of a project's functions that are paused. */
	paused(project: string): Promise<ReadonlySet<string>>;
	/** The record of an invocation of either lane, if it is still kept. */
	record(id: string): Promise<InvocationRecord | undefined>;
	/** Background: told of each change of an invocation until what it gives is called; see BackgroundNews. */
	follow(id: string, onNews: () => void): () => void;
	/** Background: records of a project, newest first. @throws BerthError `unavailable` */
	list(wanted: Wanted, limit: number): Promise<Page>;
	/**
	 * Background: what waits never begins, what runs gets its abort signal; idempotent.
	 * @param of its function
	 * @returns the state it was in, and the request of one that waited
	 */
	cancelBackground(
		id: string,
		of: Pick<InvocationRequest, "project" | "function">,
	): Promise<{ readonly found: Cancelled; readonly request?: InvocationRequest }>;
	/** Background: the request of a settled invocation, while it is kept. */
	keptRequest(id: string): Promise<KeptRequest | undefined>;
	/** Background: what of the dead letters isn't their records. */
	readonly deadLetters: DeadLetters;
	/** Background: keeps the request of one that was settled without a worker. */
	keepRequest(request: InvocationRequest): Promise<void>;
	/** Background: those of these bodies, older than an accepting takes, that nobody needs, some at a time; none when that was asked within the hour. @throws BerthError `unavailable` */
	leftBodies(held: () => Promise<readonly HeldBody[]>): AsyncIterable<readonly HeldBody[]>;
	/** Background: takes what isn't kept any more off the lists; how many. */
	sweepLists(): Promise<number>;
	/** Waiting and active jobs per lane, and the age of the oldest that waits, milliseconds. */
	depth(): Promise<QueueDepth>;
	close(): Promise<void>;
}

export type FunctionName = Pick<InvocationRequest, "project" | "function">;

/** Bounds of a function's background work that are reached, over all nodes. */
export interface HeldUp {
	readonly paused: boolean;
	/** So many may run at a time, and do. */
	readonly concurrency?: number;
	/** So many have begun in the period, which ends in so long. */
	readonly rate?: { readonly limit: number; readonly freeInMs: number };
}

export interface QueueDepth {
	readonly interactive: LaneDepth;
	readonly background: LaneDepth;
	readonly builds: LaneDepth;
}
export interface LaneDepth {
	readonly waiting: number;
	readonly active: number;
	readonly oldestMs: number;
}

/** One attempt in a worker's hands. */
export interface Delivery {
	readonly request: InvocationRequest;
	/** From 1; the fencing token. */
	readonly attempt: number;
	readonly lane: "interactive" | "background";
	/** Milliseconds it spent in the queue. */
	readonly queueMs: number;
	/** Aborted when the lease can't be renewed: kill the attempt, its settlement won't count. */
	readonly lost: AbortSignal;
	/** Aborted with an Error that says why when it is cancelled: tell the function. Its settlement counts, whatever it is. */
	readonly cancelled: AbortSignal;
	/**
	 * Whether it may begin here: to be asked before a sandbox gets anything of the invocation, and again before its settlement is counted. False
	 * when it was handed back meanwhile: then `cancelled` is aborted with a `HandedBackError`, and the handler rejects with one; what it says doesn't count.
	 */
	readonly begin: () => boolean | Promise<boolean>;
}

/**
 * Runs one attempt. What a function does wrong is in the settlement; a rejection is a failure of the
 * platform and is recorded as `platform_error`.
 */
export type DeliveryHandler = (delivery: Delivery) => Promise<Settlement>;

/** Looks after what a background invocation holds beside its record. A rejection is logged, and the settlement stands. */
export interface SettlementKeeper {
	/**
	 * Before it is settled for good: keeps its body for a replay.
	 * @param dead as a dead letter, for as long as these are kept
	 * @returns the request as its record is to have it
	 */
	keep(request: InvocationRequest, dead: boolean): Promise<InvocationRequest>;
	/** Once it is settled, however that came: its body isn't asked for again. May come more than once. */
	over(request: InvocationRequest): Promise<void>;
}

/** Both lanes as a worker sees them. */
export interface InvocationSource {
	/**
	 * Takes deliveries until `drain`; at most `concurrency` at a time.
	 * @param settlements background: told when an invocation is settled for good
	 */
	start(handler: DeliveryHandler, concurrency: number, settlements?: SettlementKeeper): Promise<void>;
	/**
	 * An invocation in hand, of either lane, waits for another one, which the interactive lane brings, perhaps to this node: one
	 * more is taken beyond `concurrency`, and who waits holds no place. @returns what is called when it waits no longer
	 */
	waits(invocation: string): () => void;
	/** Takes nothing more until `resume`, and hands back what hasn't begun. What has goes on. */
	rest(): Promise<void>;
	resume(): void;
	/** Takes nothing more, hands back what hasn't begun, and waits for what runs, at most `graceMs`. */
	drain(graceMs: number): Promise<void>;
	close(): Promise<void>;
}

/** A version to build. */
export interface BuildTask {
	readonly project: string;
	readonly function: string;
	readonly version: number;
}

export interface BuildQueue {
	/** Resolves after the durable write. */
	add(task: BuildTask): Promise<void>;
	close(): Promise<void>;
}

export interface BuildSource {
	/** A rejection is retried (3 attempts in all); a build that fails on its source resolves. `rejected`: attempts before that ended so; a worker's end cut the others short. */
	start(handler: (task: BuildTask, attempt: number, rejected: number) => Promise<void>, concurrency: number): Promise<void>;
	/** Takes nothing more until `resume`; what runs goes on. */
	rest(): Promise<void>;
	resume(): Promise<void>;
	/** How many run. */
	running(): number;
	close(): Promise<void>;
}
