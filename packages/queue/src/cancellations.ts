import type { Redis } from "@berth/redis";
import { cancelChannelOf } from "./keys.js";
import type { QueueLogger } from "./logger.js";
import type { CancelReason } from "./ports.js";

/** An invocation's id, and why. */
export type Cancelled = readonly [id: string, why: CancelReason];

interface Message {
	readonly ids: Cancelled[];
	readonly told: Promise<boolean>;
}

/** Ids of cancelled invocations on their way to the nodes that have them: one message per node and turn of the event loop. */
export class Cancellations {
	readonly #redis: Redis;
	readonly #log: QueueLogger;
	readonly #waiting = new Map<string, Message>();

	/** @param redis for `command` use */
	constructor(redis: Redis, log: QueueLogger) {
		this.#redis = redis;
		this.#log = log;
	}

	/** A hint, sent once: without it the invocation runs to its end. @returns whether Redis has passed it on; never rejects */
	send(node: string, id: string, why: CancelReason): Promise<boolean> {
		const message = this.#waiting.get(node) ?? this.#begin(node);
		message.ids.push([id, why]);
		return message.told;
	}

	#begin(node: string): Message {
		const ids: Cancelled[] = [];
		const told = new Promise<boolean>((resolve) => setImmediate(() => resolve(this.#flush(node, ids))));
		const message = { ids, told };
		this.#waiting.set(node, message);
		return message;
	}

	async #flush(node: string, ids: readonly Cancelled[]): Promise<boolean> {
		this.#waiting.delete(node);
		try {
			await this.#redis.publish(cancelChannelOf(node), JSON.stringify(ids));
			return true;
		} catch (error) {
			this.#log.debug({ error, node, invocations: ids.length }, "a node couldn't be told what is cancelled");
			return false;
		}
	}
}
