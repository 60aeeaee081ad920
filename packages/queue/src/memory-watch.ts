import type { DurableMemory } from "./durable-memory.js";
import type { QueueLogger } from "./logger.js";

/** It is read once a second, whoever asks how often. */
const LOOK_MS = 500;

/** Keeps the durable Redis below what its settled records may fill while a worker settles more, whether or not anything new is accepted. */
export class MemoryWatch {
	readonly #memory: DurableMemory;
	readonly #log: QueueLogger;
	readonly #timer: NodeJS.Timeout;
	#looking = false;

	constructor(memory: DurableMemory, log: QueueLogger) {
		this.#memory = memory;
		this.#log = log;
		this.#timer = setInterval(() => void this.#look(), LOOK_MS);
		void this.#look();
	}

	/** So much is about to be written. */
	add(bytes: number): void {
		this.#memory.add(bytes);
		void this.#look();
	}

	stop(): void {
		clearInterval(this.#timer);
	}

	async #look(): Promise<void> {
		if (this.#looking) return;
		this.#looking = true;
		try {
			await this.#memory.full();
		} catch (error) {
			this.#log.debug({ error }, "the durable Redis's memory can't be looked at");
		} finally {
			this.#looking = false;
		}
	}
}
