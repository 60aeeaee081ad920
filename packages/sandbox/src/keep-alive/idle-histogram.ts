import { HOUR_MS, MINUTE_MS } from "@berth/contracts";

/** Width of a bin, and what all of them cover, milliseconds. */
export const BIN_MS = MINUTE_MS;
export const RANGE_MS = 4 * HOUR_MS;
const BINS = RANGE_MS / BIN_MS;
/** From so many on all counts are halved: what was long ago counts less and less, and no count outgrows its 16 bits. */
const MOST_SAMPLES = 4096;

/** How long a function was idle between its invocations, in bins of a minute: half a kilobyte, however many there were. */
export class IdleHistogram {
	readonly #bins = new Uint16Array(BINS);
	#inside = 0;
	#outside = 0;

	/** It was idle for so long, then invoked. */
	record(idleMs: number): void {
		const bin = Math.floor(Math.max(0, idleMs) / BIN_MS);
		if (bin >= BINS) this.#outside++;
		else {
			this.#bins[bin] = (this.#bins[bin] ?? 0) + 1;
			this.#inside++;
		}
		if (this.samples >= MOST_SAMPLES) this.#halve();
	}

	get samples(): number {
		return this.#inside + this.#outside;
	}

	/** The share of idle times that were longer than its range. */
	get outsideShare(): number {
		return this.samples === 0 ? 0 : this.#outside / this.samples;
	}

	/** The coefficient of variation of the bins' counts: 0 where all idle times are as frequent as each other, the more the fewer bins have them. */
	get variation(): number {
		if (this.#inside === 0) return 0;
		let squares = 0;
		for (const count of this.#bins) squares += count * count;
		const mean = this.#inside / BINS;
		return Math.sqrt(Math.max(0, squares / BINS - mean * mean)) / mean;
	}

	/** The bin that a share of the idle times within its range is in or below. */
	binAt(share: number): number {
		const wanted = share * this.#inside;
		let below = 0;
		for (let bin = 0; bin < BINS; bin++) {
			below += this.#bins[bin] ?? 0;
			if (below > 0 && below >= wanted) return bin;
		}
		return BINS - 1;
	}

	#halve(): void {
		this.#inside = 0;
		for (let bin = 0; bin < BINS; bin++) {
			const half = (this.#bins[bin] ?? 0) >> 1;
			this.#bins[bin] = half;
			this.#inside += half;
		}
		this.#outside >>= 1;
	}
}
