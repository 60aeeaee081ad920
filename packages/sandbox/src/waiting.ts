import type { Lease } from "./lease.js";
import type { Specialisation } from "./sandbox.js";

/** Somebody who waits for a sandbox of a version. */
export interface Waiter {
	readonly target: Specialisation;
	readonly sinceMs: number;
	readonly resolve: (lease: Lease) => void;
	readonly reject: (error: Error) => void;
	done: boolean;
}

/** How long a version's attempts take, and who waits for it: what decides between waiting and starting. */
export class VersionDemand {
	readonly waiters: Waiter[] = [];
	/** Starts that are on their way for this version. */
	starting = 0;
	busy = 0;
	#runMs = 0;

	/** An exponential moving average over about the last ten attempts. */
	ran(ms: number): void {
		this.#runMs = this.#runMs === 0 ? ms : this.#runMs * 0.9 + ms * 0.1;
	}

	/** Milliseconds until the last waiter would be served by the sandboxes that are busy now; Infinity without any. */
	expectedWaitMs(): number {
		if (this.busy === 0) return Number.POSITIVE_INFINITY;
		return (this.#runMs * this.waiters.length) / this.busy;
	}

	get idle(): boolean {
		return this.waiters.length === 0 && this.starting === 0 && this.busy === 0;
	}

	/** The first waiter that still waits. */
	next(): Waiter | undefined {
		for (let waiter = this.waiters.shift(); waiter !== undefined; waiter = this.waiters.shift()) {
			if (!waiter.done) return waiter;
		}
		return undefined;
	}
}
