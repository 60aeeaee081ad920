import { guarded, type Redis } from "@berth/redis";
import { Queue, Worker } from "bullmq";
import { BUILD_QUEUE, QUEUE_PREFIX } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import type { BuildSource, BuildTask, LaneDepth } from "../ports.js";
import { depthOf } from "./depth.js";
import { SHORT_STREAM, WORKER_OPTIONS } from "./leases.js";

const ATTEMPTS = 3;
const BACKOFF_MS = 500;

/** The build queue as a gateway sees it. It doesn't own the connection. */
export class Builds {
	readonly #redis: Redis;
	readonly #queue: Queue<BuildTask>;

	/** @param redis a connection to the durable Redis for `command` use */
	constructor(redis: Redis, log: QueueLogger) {
		this.#redis = redis;
		this.#queue = new Queue(BUILD_QUEUE, {
			connection: redis,
			prefix: QUEUE_PREFIX,
			skipMetasUpdate: true,
			skipVersionCheck: true,
			skipWaitingForReady: true,
			...SHORT_STREAM,
		});
		this.#queue.on("error", (error) => log.debug({ error }, "build queue"));
	}

	/** One version is one job: adding it again while it is in the queue changes nothing. */
	async add(task: BuildTask): Promise<void> {
		const options = {
			attempts: ATTEMPTS,
			backoff: { type: "exponential", delay: BACKOFF_MS, jitter: 0.5 },
			removeOnComplete: true,
			removeOnFail: true,
		};
		const jobId = `${task.project}.${task.function}.${task.version}`;
		await guarded(this.#redis, "adding a build", () => this.#queue.add("build", task, { ...options, jobId }));
	}

	async depth(): Promise<LaneDepth> {
		return await depthOf(this.#queue, this.#redis);
	}
}

/** The build queue as a worker sees it. It doesn't own the connection. */
export class BuildJobs implements BuildSource {
	readonly #redis: Redis;
	readonly #log: QueueLogger;
	#worker: Worker<BuildTask> | undefined;
	#running = 0;
	#resting = false;

	/** @param redis a connection to the durable Redis for `patient` use */
	constructor(redis: Redis, log: QueueLogger) {
		this.#redis = redis;
		this.#log = log;
	}

	async start(handler: (task: BuildTask, attempt: number, rejected: number) => Promise<void>, concurrency: number): Promise<void> {
		const worker = new Worker<BuildTask>(BUILD_QUEUE, (job) => this.#run(() => handler(job.data, job.attemptsStarted, job.attemptsMade)), {
			...WORKER_OPTIONS,
			connection: this.#redis,
			prefix: QUEUE_PREFIX,
			concurrency,
			autorun: !this.#resting,
		});
		if (this.#resting) await worker.pause(true);
		worker.on("error", (error) => this.#log.debug({ error }, "build worker"));
		worker.on("failed", (job, error) =>
			this.#log.error({ error, build: job?.data, attempt: job?.attemptsStarted }, "a build failed on the platform's side"),
		);
		this.#worker = worker;
	}

	async rest(): Promise<void> {
		this.#resting = true;
		await this.#worker?.pause(true);
	}

	async resume(): Promise<void> {
		this.#resting = false;
		await this.#worker?.resume();
	}

	running(): number {
		return this.#running;
	}

	async #run(build: () => Promise<void>): Promise<void> {
		this.#running++;
		try {
			await build();
		} finally {
			this.#running--;
		}
	}

	/** Doesn't wait for a build that runs: it is built again elsewhere when its lock has ended. */
	async close(): Promise<void> {
		await this.#worker?.close(true);
	}
}
