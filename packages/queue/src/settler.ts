import { MIB } from "@berth/contracts";
import { Batcher } from "./batcher.js";
import { type InteractiveRecords, roughBytes, type SettledInvocation } from "./interactive-records.js";

/** Bounds of one script run, so that it never holds Redis for long. */
const BOUNDS = { mostItems: 256, mostBytes: 4 * MIB };

interface Waiting extends SettledInvocation {
	readonly resolve: (first: boolean) => void;
	readonly reject: (error: unknown) => void;
}

/** Settles interactive invocations, a batch per script. */
export class Settler {
	readonly #records: InteractiveRecords;
	readonly #batcher: Batcher<Waiting>;

	/** @param underWay invocations in hand */
	constructor(records: InteractiveRecords, underWay: () => number) {
		this.#records = records;
		this.#batcher = new Batcher({
			...BOUNDS,
			send: (batch) => this.#send(batch),
			bytesOf: ({ settlement }) => roughBytes(settlement),
			underWay,
		});
	}

	/** Resolves when it is recorded and published; false if another settlement was there first. */
	settle(settled: SettledInvocation): Promise<boolean> {
		return new Promise((resolve, reject) => {
			this.#batcher.push({ ...settled, resolve, reject });
		});
	}

	async #send(batch: readonly Waiting[]): Promise<void> {
		try {
			const won = await this.#records.settle(batch);
			batch.forEach((one, at) => {
				one.resolve(won[at] === true);
			});
		} catch (error) {
			for (const one of batch) one.reject(error);
		}
	}
}
