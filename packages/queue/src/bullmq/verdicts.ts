/** Why a gateway looks itself after invocations that it waits for. */
export type Reason =
	/** Their deadline has passed. */
	| "overdue"
	/** The reply channel was away: replies may be lost. */
	| "resumed"
	/** Their node is gone. */
	| "abandoned"
	/** Their node has another incarnation. */
	| "restarted"
	/** Their node takes nothing more. What it has taken is its own until it says that it has handed back what of that hasn't begun. */
	| "draining"
	/** Their node has handed back what it had taken and not begun. */
	| "returned"
	/** Adding their job failed, so that it may or may not be in the queue. */
	| "doubted"
	/** Their gateway stops, and waits no longer. */
	| "stopping";

/**
 * Where the job is that carries an invocation without a record; `retaken`: another incarnation has it than the one that is asked about; `unknown`: nobody
 * has it, as far as a server knows that was started again since it was sent, or has taken another one's place. It may have lost who had, and more.
 */
export type JobFate = "waiting" | "taken" | "retaken" | "gone" | "unknown";

/**
 * What becomes of the invocation: `keep` waiting; settle it as `expired_in_queue` or `worker_lost`
 * (fenced: a settlement that comes first wins); or `revoke` it, which takes the job out of the queue
 * and tells the caller that nothing was accepted. What is known not to have begun is `reclaim`ed, as is what would be `worker_lost`:
 * its gateway places it again. What isn't known not to have begun is kept then.
 */
export type Verdict = "keep" | "expired_in_queue" | "worker_lost" | "revoke" | "reclaim";

export const VERDICTS: Readonly<Record<Reason, Readonly<Record<JobFate, Verdict>>>> = {
	overdue: { waiting: "expired_in_queue", taken: "worker_lost", retaken: "worker_lost", gone: "worker_lost", unknown: "worker_lost" },
	resumed: { waiting: "keep", taken: "keep", retaken: "keep", gone: "worker_lost", unknown: "worker_lost" },
	abandoned: { waiting: "revoke", taken: "worker_lost", retaken: "keep", gone: "worker_lost", unknown: "worker_lost" },
	restarted: { waiting: "keep", taken: "worker_lost", retaken: "keep", gone: "worker_lost", unknown: "worker_lost" },
	draining: { waiting: "revoke", taken: "keep", retaken: "keep", gone: "worker_lost", unknown: "worker_lost" },
	returned: { waiting: "keep", taken: "reclaim", retaken: "keep", gone: "worker_lost", unknown: "worker_lost" },
	doubted: { waiting: "revoke", taken: "keep", retaken: "keep", gone: "revoke", unknown: "worker_lost" },
	stopping: { waiting: "revoke", taken: "reclaim", retaken: "reclaim", gone: "keep", unknown: "keep" },
};

export const VERDICT_TEXT = {
	expired_in_queue: "The deadline passed before the node's worker took the invocation.",
	worker_lost:
		"The node's worker took the invocation and is gone, or did not answer in time; or Redis was started again, and lost what became of it.",
} as const;
