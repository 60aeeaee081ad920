import { MIB } from "@berth/contracts";
import { type InteractiveRecords, roughBytes, type SettledInvocation } from "./interactive-records.js";

/** Bounds of one script run, so that it never holds Redis for long. */
const MOST_SETTLEMENTS = 256;
const MOST_BYTES = 4 * MIB;

interface Waiting extends SettledInvocation {
	readonly resolve: (first: boolean) => void;
	readonly reject: (error: unknown) => void;
}

/**
 * Settles interactive invocations, one script at a time: everything that is settled in the same turn
 * of the event loop, or while a script is under way, goes together.
 */
export class Settler {
	readonly #records: InteractiveRecords;
	#waiting: Waiting[] = [];
	#busy = false;

	constructor(records: InteractiveRecords) {
		this.#records = records;
	}

	/** Resolves when it is recorded and published; false if another settlement was there first. */
	settle(settled: SettledInvocation): Promise<boolean> {
		return new Promise((resolve, reject) => {
			this.#waiting.push({ ...settled, resolve, reject });
			this.#schedule();
		});
	}

	#schedule(): void {
		if (this.#busy) return;
		this.#busy = true;
		setImmediate(() => void this.#flush());
	}

	async #flush(): Promise<void> {
		const batch = this.#take();
		try {
			const won = await this.#records.settle(batch);
			batch.forEach((one, at) => {
				one.resolve(won[at] === true);
			});
		} catch (error) {
			for (const one of batch) one.reject(error);
		}
		this.#busy = false;
		if (this.#waiting.length > 0) this.#schedule();
	}

	#take(): Waiting[] {
		let bytes = 0;
		let count = 0;
		for (const { settlement } of this.#waiting) {
			bytes += roughBytes(settlement);
			if (count > 0 && (count === MOST_SETTLEMENTS || bytes > MOST_BYTES)) break;
			count++;
		}
		return this.#waiting.splice(0, count);
	}
}
