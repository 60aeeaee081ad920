import type { Redis } from "ioredis";
import { type ConnectionLog, SILENT } from "./log.js";

export interface SubscriptionEvents {
	readonly onMessage: (text: string, channel: string) => void;
	/** It listens again after it didn't for a while: what was published meanwhile was missed. */
	readonly onResumed?: () => unknown;
}

/** Channels that stay subscribed through every reconnect, for as long as the connection isn't closed. It doesn't own the connection. */
export class Subscription {
	readonly #redis: Redis;
	readonly #channels: readonly string[];
	readonly #events: SubscriptionEvents;
	readonly #log: ConnectionLog;
	readonly #first = Promise.withResolvers<void>();
	#begun = false;

	/** @param redis a connection for `subscriber` use; several subscriptions may share it */
	constructor(redis: Redis, channels: readonly string[], events: SubscriptionEvents, log: ConnectionLog = SILENT) {
		this.#redis = redis;
		this.#channels = channels;
		this.#events = events;
		this.#log = log;
		redis.on("message", (channel: string, text: string) => {
			if (channels.includes(channel)) events.onMessage(text, channel);
		});
		redis.on("ready", () => void this.#listen());
		if (redis.status === "ready") void this.#listen();
	}

	/** Resolves with the first time that it is subscribed; doesn't while Redis is away. */
	get listening(): Promise<void> {
		return this.#first.promise;
	}

	async #listen(): Promise<void> {
		try {
			await this.#redis.subscribe(...this.#channels);
			const resumed = this.#begun;
			this.#begun = true;
			this.#first.resolve();
			if (resumed) await this.#events.onResumed?.();
		} catch (error) {
			// The connection was lost again: its next `ready` comes here once more.
			this.#log.debug({ error, channels: this.#channels }, "channels were lost while they were taken up");
		}
	}
}
