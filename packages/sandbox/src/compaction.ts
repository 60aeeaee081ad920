import { COMPACTION_IDLE_MS } from "@berth/contracts";

/** A sandbox that gets no request for so long is frozen, milliseconds; and one whose agent is to compact its heap before, unless it is still at it. */
export const FREEZE_AFTER_MS = 20;
export const COMPACTED_AFTER_MS = 2 * COMPACTION_IDLE_MS;
/** So long that may take where others have the CPU; frozen in the middle, it would be the next request that waits for its end. Milliseconds. */
export const COMPACTED_AT_LATEST_MS = 5 * COMPACTION_IDLE_MS;
/** Who has used less than this in so long isn't at it any more. */
const LOOK_MS = COMPACTION_IDLE_MS / 2;
const AT_REST_US = 500;
/** So many invocations make enough garbage to be worth 25 to 40 ms of CPU. */
export const WORTH = 100;

/**
 * When an agent is to compact its heap: at a rest of the sandbox, since between requests that follow one another it would delay the next one. What its function
 * left running computes meanwhile, too: so the rests that come to nothing, as the next request comes too early, last no longer in all than the one that does.
 */
export class Compaction {
	#since = 0;
	#leftMs = COMPACTED_AFTER_MS;
	#isAsked = false;
	/** What the sandbox had used, and when. */
	#look: { readonly idleMs: number; readonly cpuUs: number } | undefined;

	/** Whether a sandbox is left awake. @param idleMs since its last invocation. @param cpuUs asks what its cgroup has used until now */
	leavesAwake(idleMs: number, cpuUs: () => number): boolean {
		if (!this.#isAsked) return idleMs < FREEZE_AFTER_MS;
		if (idleMs < COMPACTED_AFTER_MS - LOOK_MS) return true;
		if (idleMs >= COMPACTED_AT_LATEST_MS) return false;
		const before = this.#look;
		if (before !== undefined && idleMs < before.idleMs + LOOK_MS) return true;
		this.#look = { idleMs, cpuUs: cpuUs() };
		return before === undefined || this.#look.cpuUs - before.cpuUs > AT_REST_US;
	}

	/** An invocation begins. @param idleMs how long there was none @returns whether the agent is to be asked, should nothing follow */
	asks(idleMs: number): boolean {
		if (this.#isAsked) {
			this.#leftMs -= Math.max(0, idleMs - FREEZE_AFTER_MS);
			if (idleMs >= COMPACTION_IDLE_MS || this.#leftMs <= 0) this.#reset();
		}
		this.#look = undefined;
		this.#isAsked = ++this.#since >= WORTH;
		return this.#isAsked;
	}

	/** The sandbox is frozen: an agent that was asked has had the time. */
	rested(): void {
		if (this.#isAsked) this.#reset();
	}

	#reset(): void {
		this.#since = 0;
		this.#leftMs = COMPACTED_AFTER_MS;
		this.#isAsked = false;
	}
}
