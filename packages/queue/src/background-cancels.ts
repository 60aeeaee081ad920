import { type Redis, Subscription } from "@berth/redis";
import type { BackgroundRecords } from "./background-records.js";
import { BACKGROUND_CANCELS } from "./keys.js";
import type { QueueLogger } from "./logger.js";
import { CANCEL_WORDS } from "./ports.js";

/** Cancellations of the background invocations that a worker has in hand. It owns no connection. */
export class BackgroundCancels {
	readonly #records: BackgroundRecords;
	readonly #log: QueueLogger;
	readonly #inHand = new Map<string, AbortController>();

	/** @param subscriber a connection to the durable Redis for `subscriber` use */
	constructor(subscriber: Redis, records: BackgroundRecords, log: QueueLogger) {
		this.#records = records;
		this.#log = log;
		new Subscription(subscriber, [BACKGROUND_CANCELS], { onMessage: (id) => this.#cancel(id), onResumed: () => this.#lookUp() }, log);
	}

	/** Its signal, from before the attempt begins until `release`. */
	hold(id: string): AbortController {
		const controller = new AbortController();
		this.#inHand.set(id, controller);
		return controller;
	}

	release(id: string, held: AbortController): void {
		if (this.#inHand.get(id) === held) this.#inHand.delete(id);
	}

	#cancel(id: string): void {
		this.#inHand.get(id)?.abort(new Error(CANCEL_WORDS.asked));
	}

	/** Messages were missed: the records know. */
	async #lookUp(): Promise<void> {
		try {
			for (const id of await this.#records.cancelledOf([...this.#inHand.keys()])) this.#cancel(id);
		} catch (error) {
			this.#log.debug({ error }, "whether anything in hand was cancelled couldn't be looked up; it runs to its end");
		}
	}
}
