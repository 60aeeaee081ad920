import { BACKGROUND_LIMITS, type InvocationRequest, MOST_BACKOFF_MS, type Outcome, type RetryPolicy } from "@berth/contracts";
import { elapsedMs } from "../settlements.js";

/** How an invocation is tried again whose version says nothing. */
export const DEFAULT_RETRY_POLICY: { readonly [Key in keyof RetryPolicy]-?: number } = {
	attempts: BACKGROUND_LIMITS.attempts.default,
	backoffMs: BACKGROUND_LIMITS.backoffMs.default,
	maxAgeMs: BACKGROUND_LIMITS.maxAgeMs.default,
};

/** Workers that may die on one invocation before it is given up. */
export const MOST_STALLS = 10;

const RETRIED: ReadonlySet<Outcome> = new Set(["handler_error", "init_error", "timed_out", "out_of_memory", "crashed", "platform_error"]);
const SETTLED: ReadonlySet<Outcome> = new Set(["succeeded", "cancelled"]);

/** How long to wait after so many failures: doubled with each, half of it at random. */
export function backoffMsOf(firstMs: number, failures: number): number {
	const ms = Math.min(firstMs * 2 ** Math.min(failures - 1, 20), MOST_BACKOFF_MS);
	return Math.round(ms * (0.5 + Math.random() / 2));
}

/** What follows an attempt with this outcome, while `failuresLeft` more attempts may fail. */
export function endingOf(outcome: Outcome, failuresLeft: number): "settled" | "dead" | "retried" {
	if (SETTLED.has(outcome)) return "settled";
	return RETRIED.has(outcome) && failuresLeft > 0 ? "retried" : "dead";
}

/** As its version has it, from the accepting on. */
export function retryOf({ retry }: InvocationRequest): typeof DEFAULT_RETRY_POLICY {
	const { attempts = DEFAULT_RETRY_POLICY.attempts, backoffMs = DEFAULT_RETRY_POLICY.backoffMs } = retry ?? {};
	return { attempts, backoffMs, maxAgeMs: retry?.maxAgeMs ?? DEFAULT_RETRY_POLICY.maxAgeMs };
}

/** Whether no attempt of it is begun any more. */
export function isTooOld(request: InvocationRequest): boolean {
	const { acceptedAtMs, runAtMs = 0 } = request;
	return elapsedMs(Math.max(acceptedAtMs, runAtMs)) > retryOf(request).maxAgeMs;
}
