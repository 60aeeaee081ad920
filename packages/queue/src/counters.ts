/** Conservation: accepted = settled + dead + in flight. */
export interface LaneTotals {
	/** Invocations that were taken on. */
	readonly accepted: number;
	/** Those that ended with an outcome of their own. */
	readonly settled: number;
	/**
	 * Those that were given up: interactive, the caller was told `expired_in_queue` or `worker_lost`;
	 * background, they are dead letters.
	 */
	readonly dead: number;
	readonly inFlight: number;
}

/** Counts the invocations of a process; `inFlight` follows from the others. */
export class LaneCounter {
	#accepted = 0;
	#settled = 0;
	#dead = 0;

	accept(count = 1): void {
		this.#accepted += count;
	}

	settle(): void {
		this.#settled++;
	}

	die(): void {
		this.#dead++;
	}

	totals(): LaneTotals {
		return totalsOf(this.#accepted, this.#settled, this.#dead);
	}
}

export function totalsOf(accepted: number, settled: number, dead: number): LaneTotals {
	return { accepted, settled, dead, inFlight: accepted - settled - dead };
}
