/**
 * What became of the invocations of a lane. Conservation: accepted = settled + dead + in flight, where
 * `inFlight` is counted by itself, so that a difference that stays means that something was lost.
 */
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
	/** Those that wait or run. */
	readonly inFlight: number;
}

/** Counts the interactive invocations of a process. */
export class LaneCounter {
	#accepted = 0;
	#settled = 0;
	#dead = 0;

	accept(): void {
		this.#accepted++;
	}

	settle(): void {
		this.#settled++;
	}

	die(): void {
		this.#dead++;
	}

	totals(inFlight: number): LaneTotals {
		return { accepted: this.#accepted, settled: this.#settled, dead: this.#dead, inFlight };
	}
}
