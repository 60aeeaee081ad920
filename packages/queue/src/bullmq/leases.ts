/** A job's lock, milliseconds: how long a dead worker's job is nobody's. */
export const LOCK_MS = 5000;
/** How often each worker looks for jobs without a lock; with the lock it bounds the recovery to 7.5 s. */
export const STALLED_CHECK_MS = 2500;
/** How often a held lock is renewed. */
export const RENEW_MS = 1500;
/** An attempt whose lock isn't renewed is given up so long before the lock ends. */
export const KILL_MARGIN_MS = 1000;

/**
 * We never let BullMQ fail a stalled job by itself: it would leave the queue before its settlement
 * is written. Our processors see how often a job was started and settle it, fenced, before it goes.
 */
export const STALLS_LEFT_TO_US = 1_000_000;

/** Options of every worker. */
export const WORKER_OPTIONS = {
	lockDuration: LOCK_MS,
	stalledInterval: STALLED_CHECK_MS,
	maxStalledCount: STALLS_LEFT_TO_US,
	/** Seconds. A marker that went down with a connection is made up for after this. */
	drainDelay: 2,
	runRetryDelay: 500,
} as const;

/** BullMQ's own event stream: nobody reads it, so it is kept as short as it can be. */
export const SHORT_STREAM = { streams: { events: { maxLen: 1 } } } as const;
