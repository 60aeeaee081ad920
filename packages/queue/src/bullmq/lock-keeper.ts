import type { QueueLogger } from "../logger.js";
import { KILL_MARGIN_MS, LOCK_MS, RENEW_MS } from "./leases.js";

const TICK_MS = 250;

interface Held {
	readonly job: string;
	readonly token: string;
	readonly controller: AbortController;
	/** By `performance.now()`. */
	renewedAtMs: number;
}

/** Extends locks and gives the ids of jobs whose lock is no longer ours. */
export type ExtendLocks = (jobs: string[], tokens: string[], durationMs: number) => Promise<string[]>;

/**
 * Renews the locks of the jobs in hand. A lock that is refused, or that can't be renewed until shortly
 * before it ends, aborts the signal of its job: the attempt is to be killed.
 */
export class LockKeeper {
	/** By token: a job that was lost may be in hand a second time while its first attempt still ends. */
	readonly #held = new Map<string, Held>();
	readonly #extend: ExtendLocks;
	readonly #log: QueueLogger;
	#timer: NodeJS.Timeout | undefined;
	#renewing = false;

	constructor(extend: ExtendLocks, log: QueueLogger) {
		this.#extend = extend;
		this.#log = log;
	}

	/** Keeps a job's lock until `release`. @param askedAtMs when the job was asked for, by `performance.now()` */
	hold(job: string, token: string, askedAtMs: number): AbortSignal {
		const controller = new AbortController();
		this.#held.set(token, { job, token, controller, renewedAtMs: askedAtMs });
		this.#timer ??= setInterval(() => this.#tick(), TICK_MS);
		return controller.signal;
	}

	/** Call it, with the token, when the job is finished or lost; the last one stops the timer. */
	release(token: string): void {
		this.#held.delete(token);
		if (this.#held.size > 0) return;
		clearInterval(this.#timer);
		this.#timer = undefined;
	}

	#tick(): void {
		const nowMs = performance.now();
		const due: Held[] = [];
		for (const held of this.#held.values()) {
			if (held.controller.signal.aborted) continue;
			const age = nowMs - held.renewedAtMs;
			if (age > LOCK_MS - KILL_MARGIN_MS) this.#lose(held, "its lock couldn't be renewed in time");
			else if (age > RENEW_MS) due.push(held);
		}
		if (due.length > 0 && !this.#renewing) void this.#renew(due, nowMs);
	}

	async #renew(due: readonly Held[], askedAtMs: number): Promise<void> {
		this.#renewing = true;
		try {
			const refused = new Set(
				await this.#extend(
					due.map(({ job }) => job),
					due.map(({ token }) => token),
					LOCK_MS,
				),
			);
			for (const held of due) {
				if (!refused.has(held.job)) held.renewedAtMs = askedAtMs;
				else if (this.#held.get(held.token) === held) this.#lose(held, "its lock belongs to nobody or to another worker");
			}
		} catch (error) {
			this.#log.warn({ error, jobs: due.length }, "locks couldn't be renewed");
		} finally {
			this.#renewing = false;
		}
	}

	#lose({ job, controller }: Held, why: string): void {
		this.#log.warn({ job }, `a job is lost: ${why}`);
		controller.abort(new Error(why));
	}
}
