import type { InvocationRequest } from "@berth/contracts";
import type { Redis } from "@berth/redis";
import { createRedisBackend, type IQueueBackend, Queue } from "bullmq";
import { functionQueueOf, QUEUE_PREFIX } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import { SHORT_STREAM, WORKER_OPTIONS } from "./leases.js";

export type FunctionQueue = Queue<InvocationRequest, unknown, string, InvocationRequest, unknown, string, IQueueBackend>;

/** Handles that are kept; one that goes costs nothing but to be made again. */
const MOST_HANDLES = 1000;
/** The look for stalled jobs is ours, and BullMQ's lock against a second one in its time is a little shorter. */
const OPTIONS = {
	...WORKER_OPTIONS,
	...SHORT_STREAM,
	stalledInterval: WORKER_OPTIONS.stalledInterval - 200,
	prefix: QUEUE_PREFIX,
	skipMetasUpdate: true,
	skipVersionCheck: true,
	skipWaitingForReady: true,
};

/** BullMQ's queue of each function, all on one connection, which it doesn't own. */
export class FunctionQueues {
	readonly #redis: Redis;
	readonly #log: QueueLogger;
	readonly #root: IQueueBackend;
	readonly #handles = new Map<string, FunctionQueue>();

	constructor(redis: Redis, log: QueueLogger) {
		this.#redis = redis;
		this.#log = log;
		this.#root = createRedisBackend("b", { ...OPTIONS, connection: redis });
		this.#root.on("error", (error: unknown) => log.debug({ error }, "background queues"));
	}

	/** @param key as `functionKeyOf` */
	of(key: string): FunctionQueue {
		const queue = this.#handles.get(key) ?? this.#open(key);
		this.#handles.delete(key);
		this.#handles.set(key, queue);
		if (this.#handles.size > MOST_HANDLES) this.#drop();
		return queue;
	}

	#open(key: string): FunctionQueue {
		const queue: FunctionQueue = new Queue(functionQueueOf(key), { ...OPTIONS, connection: this.#redis }, (name) =>
			this.#root.forQueue(name, QUEUE_PREFIX),
		);
		queue.on("error", (error) => this.#log.debug({ error, function: key }, "background queue"));
		return queue;
	}

	/** It holds nothing: neither connection nor timer. */
	#drop(): void {
		const [oldest] = this.#handles.keys();
		if (oldest !== undefined) this.#handles.delete(oldest);
	}
}
