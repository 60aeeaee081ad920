import { HOUR_MS, type Outcome } from "@berth/contracts";
import type { JobsOptions } from "bullmq";

/** How the background lane tries again. */
export interface RetryPolicy {
	/** Attempts that may end in a failure; those that a worker's death cut short come on top. */
	readonly attempts: number;
	/** Wait before the second attempt, milliseconds; doubles each time, half of it is random. */
	readonly backoffMs: number;
}
export const DEFAULT_RETRY_POLICY: RetryPolicy = { attempts: 3, backoffMs: 1000 };

/** How old an invocation may be when an attempt begins. */
export const MOST_AGE_MS = 6 * HOUR_MS;
/** Workers that may die on one invocation before it is given up. */
export const MOST_STALLS = 10;

const RETRIED: ReadonlySet<Outcome> = new Set(["handler_error", "init_error", "timed_out", "out_of_memory", "crashed", "platform_error"]);
const SETTLED: ReadonlySet<Outcome> = new Set(["succeeded", "cancelled"]);

/** The longest wait between two attempts, milliseconds. */
const MOST_BACKOFF_MS = HOUR_MS;

/** How long to wait after so many failures: doubled with each, half of it at random. */
export function backoffMsOf(backoff: JobsOptions["backoff"], failures: number): number {
	const firstMs = typeof backoff === "number" ? backoff : (backoff?.delay ?? 0);
	const ms = Math.min(firstMs * 2 ** Math.min(failures - 1, 20), MOST_BACKOFF_MS);
	return Math.round(ms * (0.5 + Math.random() / 2));
}

/** What follows an attempt with this outcome, while `failuresLeft` more attempts may fail. */
export function endingOf(outcome: Outcome, failuresLeft: number): "settled" | "dead" | "retried" {
	if (SETTLED.has(outcome)) return "settled";
	return RETRIED.has(outcome) && failuresLeft > 0 ? "retried" : "dead";
}
