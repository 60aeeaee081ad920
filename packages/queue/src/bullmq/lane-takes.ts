import { randomUUID } from "node:crypto";
import type { InvocationRequest } from "@berth/contracts";
import { type Redis, sharedNow } from "@berth/redis";
import { Job, type JobJson } from "bullmq";
import { LANE } from "../keys.js";
import { isTooOld } from "./background-policy.js";
import type { FunctionQueues } from "./function-queues.js";
import type { LaneIndex } from "./lane-index.js";
import { untake } from "./untaken.js";

/** A job, the token of its lock, and when it was asked for by `performance.now()`. */
export interface Taken {
	readonly job: Job<InvocationRequest>;
	readonly token: string;
	readonly askedAtMs: number;
}

export interface LaneTakesParts {
	/** A connection for `patient` use to the durable Redis. */
	readonly redis: Redis;
	readonly queues: FunctionQueues;
	readonly index: LaneIndex;
}

/** Takes jobs out of functions' queues, and puts back what isn't to be run here after all. */
export class LaneTakes {
	readonly #parts: LaneTakesParts;
	readonly #id = randomUUID();
	readonly #underWay = new Set<Promise<unknown>>();
	#taken = 0;
	#stopping = false;

	constructor(parts: LaneTakesParts) {
		this.#parts = parts;
	}

	/** Takes nothing more. Resolves when what was on its way is taken or put back. */
	async stop(): Promise<void> {
		this.#stopping = true;
		await Promise.allSettled(this.#underWay);
	}

	/** The next job of a function; undefined when there is none to be had. */
	next(key: string): Promise<Taken | undefined> {
		return this.#take(key, () => !this.#stopping);
	}

	/** The next job of a function, if it has waited for longer than it may: that one has no turn, since nothing of it is run. */
	nextTooOld(key: string): Promise<Taken | undefined> {
		return this.#take(key, ({ data }) => !this.#stopping && isTooOld(data));
	}

	/** A function has something again, also for other nodes. */
	async announce(key: string): Promise<void> {
		await this.#parts.index.dueBy(key, sharedNow());
		await this.#parts.redis.publish(LANE.news, key);
	}

	async #take(key: string, isWanted: (job: Job<InvocationRequest>) => boolean): Promise<Taken | undefined> {
		if (this.#stopping) return undefined;
		const taking = this.#tryOne(key, isWanted);
		this.#underWay.add(taking);
		try {
			return await taking;
		} finally {
			this.#underWay.delete(taking);
		}
	}

	async #tryOne(key: string, isWanted: (job: Job<InvocationRequest>) => boolean): Promise<Taken | undefined> {
		const { redis, queues } = this.#parts;
		const token = `${this.#id}-${++this.#taken}`;
		const queue = queues.of(key);
		const askedAtMs = performance.now();
		const [json, id] = (await queue.getBackend().moveToActive(token)) as [JobJson | undefined, string];
		if (!json) return undefined;
		const job = Job.fromJSON<InvocationRequest>(queue, json, id);
		if (isWanted(job)) return { job, token, askedAtMs };
		await untake(redis, queue, job, token);
		await job.moveToWait(token);
		await this.announce(key);
		return undefined;
	}
}
