import type { Redis } from "ioredis";
import type { Reply } from "./interactive-records.js";
import type { QueueLogger } from "./logger.js";

export interface ReplyListenerEvents {
	/** A settlement of an invocation of this gateway. */
	readonly onReply: (reply: Reply) => void;
	/** It listens again after it didn't for a while: what was published meanwhile has to be looked up. */
	readonly onResumed: () => Promise<void>;
}

/** A gateway's ear on its reply channel. It owns neither the connection nor the mailbox. */
export class ReplyListener {
	readonly #redis: Redis;
	readonly #channel: string;
	readonly #events: ReplyListenerEvents;
	readonly #log: QueueLogger;
	#first: Promise<void>;
	#listening = false;

	/** @param redis a connection for `subscriber` use and nothing else */
	constructor(redis: Redis, channel: string, events: ReplyListenerEvents, log: QueueLogger) {
		this.#redis = redis;
		this.#channel = channel;
		this.#events = events;
		this.#log = log;
		redis.on("message", (from: string, text: string) => {
			if (from === channel) this.deliver(text);
		});
		this.#first = new Promise((resolve) => {
			const listen = () => void this.#listen().then((heard) => heard && resolve());
			redis.on("ready", listen);
			if (redis.status === "ready") listen();
		});
	}

	/** Whether it was subscribed once: from then on nothing is lost, since mail is kept while it is away. */
	get begun(): boolean {
		return this.#listening;
	}

	/** Resolves with the first subscription. */
	get listening(): Promise<void> {
		return this.#first;
	}

	/** Hands on the replies of one message. */
	deliver(text: string): void {
		for (const reply of JSON.parse(text) as Reply[]) this.#events.onReply(reply);
	}

	async #listen(): Promise<boolean> {
		try {
			await this.#redis.subscribe(this.#channel);
			const resumed = this.#listening;
			this.#listening = true;
			if (resumed) await this.#events.onResumed();
			return true;
		} catch (error) {
			// The connection was lost again: its next `ready` comes here once more.
			this.#log.debug({ error, channel: this.#channel }, "the reply channel was lost while it was taken up");
			return false;
		}
	}
}
