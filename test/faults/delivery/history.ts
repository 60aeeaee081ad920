/** What an invocation's function does, as its payload says. `…-once`: in its first attempt, and succeeds in the next. */
export const DEEDS = ["succeed", "sleep", "fail", "fail-once", "crash", "crash-once"] as const;
export type Deed = (typeof DEEDS)[number];
export type Lane = "interactive" | "background";

/** One invocation that was asked for, and what its client was told. */
export interface Asked {
	/** In the payload: what a function says of it can be told from everything else. Only a replay has the same one. */
	readonly token: string;
	readonly lane: Lane;
	readonly deed: Deed;
	readonly told: Told;
	/** Whether it was asked for under an `Idempotency-Key`, and again until there was an answer. */
	readonly hasKey?: boolean;
	/** When the answer to its cancellation came that said it was cancelled, milliseconds since the epoch. */
	readonly cancelledAtMs?: number;
	/** When it may begin at the earliest, milliseconds since the epoch. */
	readonly notBeforeMs?: number;
	/** Where it was asked for, and from when to when its client waited, milliseconds since the epoch: where faults have a record. */
	readonly waited?: { readonly at: string; readonly fromMs: number; readonly untilMs: number };
}

/** What a client is told. */
export type Told =
	/** 202. */
	| { readonly kind: "accepted"; readonly id: string }
	/** An answer of an invocation, with its outcome. */
	| { readonly kind: "answered"; readonly id: string; readonly outcome: string; readonly code?: string; readonly result?: unknown }
	/** A problem that says that nothing was accepted. */
	| { readonly kind: "refused"; readonly code: string }
	/** The connection ended, or a problem with this code says that nobody knows: it may have been run. */
	| { readonly kind: "nothing"; readonly code?: string };

/** A record, as the API gives it. */
export interface Recorded {
	readonly id: string;
	readonly state: string;
	readonly outcome?: string;
	readonly attempt?: number;
	readonly code?: string;
	readonly result?: unknown;
}

/** What a function wrote down itself, in the order in which it did. */
export interface Witnessed {
	readonly what: "began" | "ended";
	readonly token: string;
	readonly id: string;
	readonly attempt: number;
	readonly atMs: number;
	/** On which machine, where there are several. */
	readonly machine?: string;
}

/** What was done to a machine or a server after which what it has in hand may be lost, and when, milliseconds since the epoch. */
export interface Done {
	readonly to: string;
	readonly fromMs: number;
	readonly untilMs: number;
}

/** A schedule that is over, with all of its history. */
export interface Scheduled {
	readonly name: string;
	/** When it was due, as its cron expression says: ISO 8601, one after another. */
	readonly dueAt: readonly string[];
	/** Whether each of these has to become an invocation, however late; else it may be skipped, or missed. */
	readonly firesAll: boolean;
	readonly runs: readonly ScheduledRun[];
}

/** What the API says of a firing. */
export interface ScheduledRun {
	readonly dueAt: string;
	readonly result: string;
	readonly invocation?: string;
	/** How many were missed, up to and with this one. */
	readonly count?: number;
}

/** What `/metrics` says of a lane when everything is over. */
export interface Totals {
	readonly accepted: number;
	readonly settled: number;
	readonly dead: number;
	readonly inFlight: number;
}

/** All that a client has seen of a history that is over. */
export interface History {
	readonly asked: readonly Asked[];
	/** In the order in which they were read: several of one invocation where it was read more than once. */
	readonly records: readonly Recorded[];
	readonly witnessed: readonly Witnessed[];
	/** Of the lanes of which they have to add up. */
	readonly totals: Readonly<Partial<Record<Lane, Totals>>>;
	/** Whether processes were killed: an attempt may have been cut off before its function wrote anything. */
	readonly killed: boolean;
	/**
	 * Whether processes were stopped for longer than their leases, or cut off: an attempt of the background may go on for a while beside the next one, as nobody
	 * can end it. What it comes to is still never taken.
	 */
	readonly unattended?: boolean;
	/** What was done, where that has a record: of what nothing was done to nothing may be lost. */
	readonly done?: readonly Done[];
	/** Their firings are among what was asked for. */
	readonly schedules?: readonly Scheduled[];
}
