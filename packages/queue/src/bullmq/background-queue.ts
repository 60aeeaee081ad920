import type { InvocationRequest } from "@berth/contracts";
import { guarded, type Redis } from "@berth/redis";
import { Queue } from "bullmq";
import { BackgroundLists } from "../background-lists.js";
import { BackgroundRecords, type Cancelled, DEFAULT_RETENTION, type Retention } from "../background-records.js";
import type { LaneTotals } from "../counters.js";
import { BACKGROUND_CANCELS, BACKGROUND_QUEUE, BACKGROUND_TOTALS, QUEUE_PREFIX } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import type { LaneDepth } from "../ports.js";
import { Retractions } from "../retractions.js";
import { DEAD_LETTERS, DEFAULT_RETRY_POLICY, type RetryPolicy } from "./background-policy.js";
import { depthOf } from "./depth.js";
import { SHORT_STREAM } from "./leases.js";

/** The background lane as a gateway sees it. It doesn't own the connection. */
export class BackgroundQueue {
	readonly #redis: Redis;
	readonly #queue: Queue<InvocationRequest>;
	readonly #policy: RetryPolicy;
	readonly #retractions: Retractions;
	readonly records: BackgroundRecords;
	readonly lists: BackgroundLists;

	/** @param redis a connection to the durable Redis for `command` use */
	constructor(redis: Redis, log: QueueLogger, policy: RetryPolicy = DEFAULT_RETRY_POLICY, retention: Retention = DEFAULT_RETENTION) {
		this.#redis = redis;
		this.#retractions = new Retractions(log);
		this.#policy = policy;
		this.records = new BackgroundRecords(redis, retention);
		this.lists = new BackgroundLists(redis);
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

	/**
	 * Job first, then record: a gateway that dies in between leaves an invocation that runs (and whose
	 * record its worker makes), not one that waits for ever. Both are on disk when it resolves.
	 */
	async enqueue(request: InvocationRequest): Promise<void> {
		await guarded(this.#redis, "accepting an invocation", async () => {
			try {
				await this.#queue.add("invocation", request, {
					jobId: request.id,
					attempts: this.#policy.attempts,
					backoff: { type: "exponential", delay: this.#policy.backoffMs, jitter: 0.5 },
					removeOnComplete: true,
					removeOnFail: DEAD_LETTERS,
					stackTraceLimit: 1,
				});
				await this.records.accept(request);
			} catch (error) {
				await this.#takeBack(request.id);
				throw error;
			}
		});
	}

	/**
	 * What waits is settled before its job goes: should that fail, a worker finds it settled. What runs is told.
	 * @returns in which state it was, and the request of one that waited
	 */
	async cancel(id: string): Promise<{ readonly found: Cancelled; readonly request?: InvocationRequest }> {
		const found = await this.records.cancel(id);
		if (found === "running") await this.#redis.publish(BACKGROUND_CANCELS, id);
		if (found !== "queued") return { found };
		const job = await this.#queue.getJob(id);
		await this.#queue.remove(id);
		return { found, ...(job === undefined ? {} : { request: job.data }) };
	}

	close(): void {
		this.#retractions.stop();
	}

	async depth(): Promise<LaneDepth> {
		return await depthOf(this.#queue, this.#redis);
	}

	/** The lane's totals since the durable Redis was made, and what is in the queue, of one moment. */
	async totals(): Promise<LaneTotals> {
		const { wait, active, delayed } = this.#queue.keys as Record<"wait" | "active" | "delayed", string>;
		const replies = await this.#redis.multi().hgetall(BACKGROUND_TOTALS).llen(wait).llen(active).zcard(delayed).exec();
		const [counted, ...lengths] = (replies ?? []).map(([error, value]) => {
			if (error !== null) throw error;
			return value;
		});
		const { accepted, settled, dead } = counted as Readonly<Record<string, string>>;
		const inFlight = (lengths as number[]).reduce((sum, length) => sum + length, 0);
		return { accepted: Number(accepted ?? 0), settled: Number(settled ?? 0), dead: Number(dead ?? 0), inFlight };
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
			this.#retractions.add(id, remove);
		}
	}
}
