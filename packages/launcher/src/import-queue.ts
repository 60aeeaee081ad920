import type { ImportRequest } from "@berth/contracts";
import type { LayerReceiver, LayerStore } from "./layers.js";

/** The layer a connection is sending: one at a time, its chunks written in the order they came. */
export class ImportQueue {
	readonly #layers: LayerStore;
	#receiver: LayerReceiver | undefined;
	#receiving: string | undefined;
	#tail: Promise<void> = Promise.resolve();

	readonly #onTrouble: (message: string, error: unknown) => void;

	/** @param onTrouble is told of what was received and couldn't be removed again: nobody waits for that */
	constructor(layers: LayerStore, onTrouble: (message: string, error: unknown) => void) {
		this.#layers = layers;
		this.#onTrouble = onTrouble;
	}

	take(request: ImportRequest, chunk: Uint8Array): Promise<void> {
		const step = this.#tail.then(async () => {
			// A source that broke off midway leaves a layer unfinished: nothing of it may end up in the next one.
			if (this.#receiving !== request.digest) await this.#drop();
			this.#receiver ??= await this.#layers.receive(request.digest);
			this.#receiving = request.digest;
			await this.#receiver.write(chunk);
			if (!request.last) return;
			const receiver = this.#receiver;
			this.#receiver = undefined;
			await receiver.finish();
		});
		this.#tail = step.catch(() => this.#drop());
		return step;
	}

	/** Drops what is unfinished. Never rejects. */
	abort(): Promise<void> {
		this.#tail = this.#tail.then(() => this.#drop());
		return this.#tail;
	}

	async #drop(): Promise<void> {
		const receiver = this.#receiver;
		this.#receiver = undefined;
		try {
			await receiver?.abort();
		} catch (error) {
			this.#onTrouble("an unfinished layer couldn't be removed; the next launcher removes it", error);
		}
	}
}
