import { SECOND_MS } from "@berth/contracts";

/** A figure counts for so long, milliseconds; what this process has added since is added. */
const FRESH_MS = SECOND_MS;
const WORTH_COMING = 1 / 100;
const LONGEST_RETRY_MS = 60 * SECOND_MS;
/** What went so long ago counts a third of what goes now: jobs that take seconds leave most seconds empty. Milliseconds. */
const LATELY_MS = 10 * SECOND_MS;

/** How much there is of something that is counted elsewhere, as it was lately. */
export class Level {
	readonly #count: () => Promise<number>;
	#known = 0;
	#added = 0;
	#atMs = Number.NEGATIVE_INFINITY;
	#perMs: number | undefined;
	#reading: Promise<void> | undefined;

	constructor(count: () => Promise<number>) {
		this.#count = count;
	}

	/** @param mostAdded after so much it is counted anew, however short a time ago it was */
	async read(mostAdded = Number.POSITIVE_INFINITY): Promise<number> {
		if (performance.now() - this.#atMs > FRESH_MS || this.#added > mostAdded) {
			this.#reading ??= this.#refresh().finally(() => {
				this.#reading = undefined;
			});
			await this.#reading;
		}
		return this.latest;
	}

	/** As it was when it was read last. */
	get latest(): number {
		return this.#known + this.#added;
	}

	add(more: number): void {
		this.#added += more;
	}

	/** When who was refused may come again, milliseconds: by what went lately, a hundredth of the limit is gone then; at the latest in a minute, also where nothing went. */
	retryAfterMs(limit: number): number {
		const ms = Math.max(1, limit * WORTH_COMING) / (this.#perMs ?? 0);
		return Math.min(LONGEST_RETRY_MS, Math.max(SECOND_MS, Math.round(ms)));
	}

	async #refresh(): Promise<void> {
		const expected = this.#known + this.#added;
		const found = await this.#count();
		const nowMs = performance.now();
		const elapsedMs = nowMs - this.#atMs;
		if (elapsedMs < Number.POSITIVE_INFINITY) {
			const perMs = Math.max(0, expected - found) / elapsedMs;
			const weight = this.#perMs === undefined ? 1 : 1 - Math.exp(-elapsedMs / LATELY_MS);
			this.#perMs = (this.#perMs ?? 0) * (1 - weight) + perMs * weight;
		}
		[this.#known, this.#added, this.#atMs] = [found, 0, nowMs];
	}
}
