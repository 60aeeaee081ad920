/** What a watchdog looks at. */
export interface Watched {
	/** Jobs that wait in Redis. */
	readonly waiting: () => Promise<number>;
	/** Jobs in this worker's hands. */
	readonly active: () => number;
	/** Grows with every job taken. */
	readonly taken: () => number;
	/** Makes the BullMQ worker anew. */
	readonly revive: () => void;
}

/** Milliseconds. */
const TIMING = { lookMs: 2000, stuckMs: 6000 };

/**
 * Jobs wait, this worker has none and takes none, for six seconds: BullMQ's worker is taken for stuck
 * and made anew. (Releases 6.0.10 to 6.1.2 never resumed after an outage.)
 */
export class Watchdog {
	readonly #watched: Watched;
	readonly #timer: NodeJS.Timeout;
	readonly #stuckMs: number;
	#looking = false;
	#idleSinceMs: number | undefined;
	#takenThen = -1;
	#revived = 0;

	constructor(watched: Watched, timing = TIMING) {
		this.#watched = watched;
		this.#stuckMs = timing.stuckMs;
		this.#timer = setInterval(() => void this.#look(), timing.lookMs);
	}

	/** How often a worker was made anew. */
	get revived(): number {
		return this.#revived;
	}

	stop(): void {
		clearInterval(this.#timer);
	}

	async #look(): Promise<void> {
		if (this.#looking) return;
		this.#looking = true;
		try {
			this.#judge(await this.#watched.waiting());
		} catch {
			// Redis can't be asked: that is no sign of a stuck worker.
			this.#idleSinceMs = undefined;
		} finally {
			this.#looking = false;
		}
	}

	#judge(waiting: number): void {
		const taken = this.#watched.taken();
		const idle = waiting > 0 && this.#watched.active() === 0 && taken === this.#takenThen;
		this.#takenThen = taken;
		if (!idle) {
			this.#idleSinceMs = undefined;
			return;
		}
		this.#idleSinceMs ??= performance.now();
		if (performance.now() - this.#idleSinceMs < this.#stuckMs) return;
		this.#idleSinceMs = undefined;
		this.#revived++;
		this.#watched.revive();
	}
}
