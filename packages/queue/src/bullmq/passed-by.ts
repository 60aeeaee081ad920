import type { InvocationRequest } from "@berth/contracts";
import type { Redis } from "@berth/redis";
import type { QueueLogger } from "../logger.js";
import { isTooOld } from "./background-policy.js";
import type { FunctionQueues } from "./function-queues.js";

/** How long it may take until somebody looks how old the next job of such a function is, milliseconds. */
const LOOK_MS = 1000;
const MOST_REMEMBERED = 4096;

export interface PassedByParts {
	readonly redis: Redis;
	readonly queues: FunctionQueues;
	readonly log: QueueLogger;
	/** Takes the next job of a function, and ends it; false when there is none that is too old: another node may have been quicker. */
	readonly end: (key: string) => Promise<boolean>;
}

/** Functions with jobs that this node leaves to others, as it can't run them. Should no node run them either, they still wait no longer than they may. */
export class PassedBy {
	readonly #parts: PassedByParts;
	/** When each was looked at; those that were the longest ago are forgotten. */
	readonly #lookedAtMs = new Map<string, number>();

	constructor(parts: PassedByParts) {
		this.#parts = parts;
	}

	/** A function has something. */
	seen(key: string): void {
		const nowMs = performance.now();
		if (nowMs - (this.#lookedAtMs.get(key) ?? Number.NEGATIVE_INFINITY) < LOOK_MS) return;
		this.#lookedAtMs.delete(key);
		this.#lookedAtMs.set(key, nowMs);
		const [oldest] = this.#lookedAtMs.size > MOST_REMEMBERED ? this.#lookedAtMs.keys() : [];
		if (oldest !== undefined) this.#lookedAtMs.delete(oldest);
		void this.#endOld(key);
	}

	async #endOld(key: string): Promise<void> {
		try {
			for (let next = await this.#next(key); next !== undefined && isTooOld(next); next = await this.#next(key))
				if (!(await this.#parts.end(key))) return;
		} catch (error) {
			this.#parts.log.debug({ error, function: key }, "how old a job is that can't be run here couldn't be looked up; it is in a second");
		}
	}

	/** What would be taken next; looking at it takes nothing of it. */
	async #next(key: string): Promise<InvocationRequest | undefined> {
		const { redis, queues } = this.#parts;
		const queue = queues.of(key);
		const waiting = await redis.lindex(queue.toKey("wait"), -1);
		const [id] = waiting === null ? await redis.zrange(queue.toKey("delayed"), "0", "0") : [waiting];
		const data = id === undefined ? null : await redis.hget(queue.toKey(id), "data");
		return data === null ? undefined : (JSON.parse(data) as InvocationRequest);
	}
}
