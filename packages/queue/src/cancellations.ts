import type { Redis } from "@berth/redis";
import { cancelChannelOf } from "./keys.js";
import type { QueueLogger } from "./logger.js";
import type { CancelReason } from "./ports.js";

/** An invocation's id, and why. */
export type Cancelled = readonly [id: string, why: CancelReason];

/** Ids of cancelled invocations on their way to the nodes that have them: one message per node and turn of the event loop. */
export class Cancellations {
	readonly #redis: Redis;
	readonly #log: QueueLogger;
	readonly #waiting = new Map<string, Cancelled[]>();

	/** @param redis for `command` use */
	constructor(redis: Redis, log: QueueLogger) {
		this.#redis = redis;
		this.#log = log;
	}

	/** A hint, sent once: without it the invocation runs to its end. */
	send(node: string, id: string, why: CancelReason): void {
		const ids = this.#waiting.get(node);
		if (ids !== undefined) {
			ids.push([id, why]);
			return;
		}
		this.#waiting.set(node, [[id, why]]);
		setImmediate(() => void this.#flush(node));
	}

	async #flush(node: string): Promise<void> {
		const ids = this.#waiting.get(node);
		this.#waiting.delete(node);
		try {
			await this.#redis.publish(cancelChannelOf(node), JSON.stringify(ids));
		} catch (error) {
			this.#log.debug({ error, node, invocations: ids?.length }, "a node couldn't be told what is cancelled");
		}
	}
}
