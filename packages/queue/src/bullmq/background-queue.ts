import type { InvocationRequest } from "@berth/contracts";
import { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { BackgroundRecords } from "../background-records.js";
import { guarded } from "../connections.js";
import { BACKGROUND_QUEUE, QUEUE_PREFIX } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import type { LaneDepth } from "../ports.js";
import { DEAD_LETTERS, DEFAULT_RETRY_POLICY, type RetryPolicy } from "./background-policy.js";
import { depthOf } from "./depth.js";
import { SHORT_STREAM } from "./leases.js";

/** The background lane as a gateway sees it. It doesn't own the connection. */
export class BackgroundQueue {
	readonly #redis: Redis;
	readonly #queue: Queue<InvocationRequest>;
	readonly #policy: RetryPolicy;
	readonly #log: QueueLogger;
	readonly records: BackgroundRecords;

	/** @param redis a `gateway` connection to the durable Redis */
	constructor(redis: Redis, log: QueueLogger, policy: RetryPolicy = DEFAULT_RETRY_POLICY) {
		this.#redis = redis;
		this.#log = log;
		this.#policy = policy;
		this.records = new BackgroundRecords(redis);
		this.#queue = new Queue(BACKGROUND_QUEUE, {
			connection: redis,
			prefix: QUEUE_PREFIX,
			skipMetasUpdate: true,
			skipVersionCheck: true,
			skipWaitingForReady: true,
			...SHORT_STREAM,
		});
		this.#queue.on("error", (error) => log.debug({ error }, "background queue"));
	}

	/** Record first, then job: whoever hears of the id finds the record. Both are on disk when it resolves. */
	async enqueue(request: InvocationRequest): Promise<void> {
		await guarded(this.#redis, async () => {
			try {
				await this.records.accept(request);
				await this.#queue.add("invocation", request, {
					jobId: request.id,
					attempts: this.#policy.attempts,
					backoff: { type: "exponential", delay: this.#policy.backoffMs, jitter: 0.5 },
					removeOnComplete: true,
					removeOnFail: DEAD_LETTERS,
					stackTraceLimit: 1,
				});
			} catch (error) {
				await this.#takeBack(request.id);
				throw error;
			}
		});
	}

	async depth(): Promise<LaneDepth> {
		return await depthOf(this.#queue, this.#redis);
	}

	/** The caller is told that nothing was accepted: see to it, now or when Redis is back. */
	async #takeBack(id: string): Promise<void> {
		const remove = async () => {
			await this.#queue.remove(id);
			if ((await this.#queue.getJob(id)) === undefined) await this.records.withdraw(id);
		};
		try {
			await remove();
		} catch {
			this.#redis.once(
				"ready",
				() => void remove().catch((error: unknown) => this.#log.warn({ error, id }, "a doubtful invocation couldn't be taken back")),
			);
		}
	}
}
