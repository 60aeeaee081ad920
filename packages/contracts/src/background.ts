import * as z from "zod";
import type { Range } from "./limits.js";
import { DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS } from "./units.js";

/** What a manifest's `background` may ask for, and what it gets when it doesn't ask. */
export const BACKGROUND_LIMITS = {
	/** Attempts that may end in a failure. */
	attempts: { min: 1, max: 20, default: 3 },
	/** Wait before the second attempt, milliseconds; doubles with each, up to an hour. */
	backoffMs: { min: 1, max: HOUR_MS, default: SECOND_MS },
	/** How old an invocation may be when an attempt begins, milliseconds. */
	maxAgeMs: { min: SECOND_MS, max: 7 * DAY_MS, default: 6 * HOUR_MS },
} as const satisfies Record<string, Range>;
/** Those that there are none of unless a manifest says so. */
const OPTIONAL_LIMITS = {
	concurrency: { min: 1, max: 1000 },
	limit: { min: 1, max: 1_000_000 },
	periodMs: { min: 10, max: HOUR_MS },
} as const;

/** How far ahead an invocation may be accepted, milliseconds. */
export const MOST_AHEAD_MS = 30 * DAY_MS;
/** The longest wait between two attempts, milliseconds. */
export const MOST_BACKOFF_MS = HOUR_MS;

const whole = ({ min, max }: { readonly min: number; readonly max: number }, unit: string) => {
	const allowed = `a whole number of ${unit} from ${min} to ${max}`;
	return z.int(allowed).min(min, allowed).max(max, allowed);
};
const RATE = `how many may begin in how long, as in {"limit": 10, "periodMs": ${MINUTE_MS}}`;

/** What a manifest's `background` says of how invocations are run that nobody waits for. */
export const BACKGROUND_FIELDS = {
	attempts: whole(BACKGROUND_LIMITS.attempts, "attempts").optional(),
	backoffMs: whole(BACKGROUND_LIMITS.backoffMs, "milliseconds").optional(),
	maxAgeMs: whole(BACKGROUND_LIMITS.maxAgeMs, "milliseconds").optional(),
	/** How many may run at the same time, on all nodes together. */
	concurrency: whole(OPTIONAL_LIMITS.concurrency, "invocations at a time, on all nodes together,").optional(),
	rate: z
		.strictObject({ limit: whole(OPTIONAL_LIMITS.limit, "beginnings"), periodMs: whole(OPTIONAL_LIMITS.periodMs, "milliseconds") }, RATE)
		.optional(),
} as const;

/** How a background invocation is tried again: its version's, from the accepting on. What is absent is the default. */
export interface RetryPolicy {
	readonly attempts?: number | undefined;
	readonly backoffMs?: number | undefined;
	readonly maxAgeMs?: number | undefined;
}

/** What bounds a function's background work: that of the version that `live` leads to. */
export interface LaneLimits {
	readonly concurrency?: number | undefined;
	readonly rate?: { readonly limit: number; readonly periodMs: number } | undefined;
	/** What each run holds of a node's memory. */
	readonly memoryMiB?: number | undefined;
	/** The node that asks can't run it: others may. */
	readonly isElsewhere?: boolean;
}

/** A function's background work. */
export interface Backlog {
	/** Accepted work waits until it is resumed. */
	readonly paused: boolean;
	readonly waiting: number;
	/** Of those that are for later, and those that are tried again. */
	readonly delayed: number;
	readonly running: number;
	/** Why none of it can run now, in a sentence. */
	readonly waitsFor?: string;
}

/** `POST /v1/functions/{name}/pause`, `…/resume` */
export interface BacklogAnswer {
	readonly background: Backlog;
}
