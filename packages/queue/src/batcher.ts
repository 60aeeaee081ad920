/** So many invocations under way are a crowd: each waits for others anyway. */
const CROWD = 4;
/** How long a batch waits for more in a crowd, milliseconds. */
const LINGER_MS = 2;
/** When none went for so long, milliseconds, those that are under way are long ones: there is nothing to wait for. */
const LULL_MS = 10;

export interface BatcherParts<Item> {
	/** Takes a batch, one at a time; never rejects. */
	readonly send: (batch: Item[]) => Promise<void>;
	/** Bounds of a batch: items, and bytes by `bytesOf`. One item always fits. */
	readonly mostItems: number;
	readonly mostBytes: number;
	readonly bytesOf: (item: Item) => number;
	/** Invocations under way, those that wait here among them or not. */
	readonly underWay: () => number;
}

/**
 * Makes batches of what comes one by one: everything of one turn of the event loop, or that comes
 * while a batch is being sent, goes together. In a crowd a batch waits for more, as Nagle's algorithm
 * has it for small packets: each one costs a job or a script and the processes on both sides a
 * wake-up, and a crowd gets through in nearly half of the time (SPECIFICATION.md). Who comes alone never waits.
 */
export class Batcher<Item> {
	readonly #parts: BatcherParts<Item>;
	#waiting: Item[] = [];
	#busy = false;
	#sentAtMs = Number.NEGATIVE_INFINITY;

	constructor(parts: BatcherParts<Item>) {
		this.#parts = parts;
	}

	push(item: Item): void {
		this.#waiting.push(item);
		this.#schedule();
	}

	/** Takes one out that waits here. @returns false when it is on its way, or gone */
	remove(item: Item): boolean {
		const at = this.#waiting.indexOf(item);
		if (at >= 0) this.#waiting.splice(at, 1);
		return at >= 0;
	}

	#schedule(): void {
		if (this.#busy) return;
		this.#busy = true;
		if (this.#crowded()) setTimeout(() => void this.#flush(), LINGER_MS);
		else setImmediate(() => void this.#flush());
	}

	#crowded(): boolean {
		return this.#parts.underWay() >= CROWD && performance.now() - this.#sentAtMs < LULL_MS;
	}

	async #flush(): Promise<void> {
		this.#sentAtMs = performance.now();
		try {
			const batch = this.#take();
			if (batch.length > 0) await this.#parts.send(batch);
		} finally {
			this.#busy = false;
			if (this.#waiting.length > 0) this.#schedule();
		}
	}

	#take(): Item[] {
		const { mostItems, mostBytes, bytesOf } = this.#parts;
		let bytes = 0;
		let count = 0;
		for (const item of this.#waiting) {
			bytes += bytesOf(item);
			if (count > 0 && (count === mostItems || bytes > mostBytes)) break;
			count++;
		}
		return this.#waiting.splice(0, count);
	}
}
