import type { Redis } from "@berth/redis";
import { NEWS_PREFIX } from "./keys.js";
import type { QueueLogger } from "./logger.js";

/** Tells of changes of background invocations: a channel for each that somebody waits for, all on one connection that it doesn't own. */
export class BackgroundNews {
	readonly #redis: Redis;
	readonly #log: QueueLogger;
	readonly #listeners = new Map<string, Set<() => void>>();

	/** @param redis for `subscriber` use, and for nothing else */
	constructor(redis: Redis, log: QueueLogger) {
		this.#redis = redis;
		this.#log = log;
		redis.on("message", (channel: string) => this.#tell(channel));
		redis.on("ready", () => void this.#subscribe([...this.#listeners.keys()]));
	}

	/**
	 * @param onNews told of each change, and of each moment from which changes are heard: what was before may have been missed
	 * @returns ends it
	 */
	follow(id: string, onNews: () => void): () => void {
		const channel = NEWS_PREFIX + id;
		const there = this.#listeners.get(channel);
		// Another one may have been heard already when this one comes.
		if (there !== undefined) setImmediate(onNews);
		const listeners = there ?? new Set<() => void>();
		listeners.add(onNews);
		this.#listeners.set(channel, listeners);
		if (there === undefined) void this.#subscribe([channel]);
		return () => {
			listeners.delete(onNews);
			if (listeners.size > 0 || this.#listeners.get(channel) !== listeners) return;
			this.#listeners.delete(channel);
			void this.#unsubscribe(channel);
		};
	}

	async #subscribe(channels: readonly string[]): Promise<void> {
		if (channels.length === 0) return;
		try {
			await this.#redis.subscribe(...channels);
			for (const channel of channels) this.#tell(channel);
		} catch (error) {
			// The connection was lost: its next `ready` comes here once more.
			this.#log.debug({ error, channels: channels.length }, "channels were lost while they were taken up");
		}
	}

	async #unsubscribe(channel: string): Promise<void> {
		try {
			await this.#redis.unsubscribe(channel);
			// Somebody may have come while that was under way.
			if (this.#listeners.has(channel)) await this.#subscribe([channel]);
		} catch (error) {
			this.#log.debug({ error, channel }, "a channel was lost while it was left");
		}
	}

	#tell(channel: string): void {
		for (const listener of this.#listeners.get(channel) ?? []) listener();
	}
}
