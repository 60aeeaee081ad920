import { FOLLOW_UP_LIMITS, SECOND_MS } from "@berth/contracts";

/** A tenth more or less, so that what failed together doesn't come again together. */
const JITTER = 0.1;

/** How long to wait after so many tries, milliseconds; undefined when they were all. @param retryAfter what the receiver said of it (RFC 9110, 10.2.3) */
export function waitAfter(attempts: number, retryAfter?: string, nowMs = Date.now()): number | undefined {
	const wait = FOLLOW_UP_LIMITS.waitsMs[attempts - 1];
	if (wait === undefined) return undefined;
	const own = Math.round(wait * (1 - JITTER + 2 * JITTER * Math.random()));
	return Math.max(own, Math.min(askedMs(retryAfter, nowMs), FOLLOW_UP_LIMITS.retryAfterMs));
}

/** Seconds, or a date. */
function askedMs(retryAfter: string | undefined, nowMs: number): number {
	if (retryAfter === undefined) return 0;
	if (/^\d{1,9}$/.test(retryAfter)) return Number(retryAfter) * SECOND_MS;
	const at = Date.parse(retryAfter);
	return Number.isNaN(at) ? 0 : Math.max(0, at - nowMs);
}
