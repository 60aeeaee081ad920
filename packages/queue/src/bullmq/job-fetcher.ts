import { randomUUID } from "node:crypto";
import { setImmediate as turn, setTimeout as wait } from "node:timers/promises";
import type { Redis } from "@berth/redis";
import { Job, type JobJson, Worker } from "bullmq";
import { QUEUE_PREFIX } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import { WORKER_OPTIONS } from "./leases.js";

const RETRY_MS = 250;

export interface JobFetcherParts<Data> {
	readonly queue: string;
	/** A connection for `patient` use. */
	readonly redis: Redis;
	readonly log: QueueLogger;
	/** What a job that is taken says of who took it (`processedBy`). */
	readonly name: string;
	/** Resolves when there is room for one more job; or when it is told to stop. */
	readonly room: () => Promise<void>;
	/** Takes a job into its hands. @param token of its lock @param askedAtMs when it was asked for, by `performance.now()` */
	readonly take: (job: Job<Data>, token: string, askedAtMs: number) => void;
}

/**
 * Fetches jobs by hand (BullMQ's pattern of that name): a Worker without a processor, for a queue
 * whose jobs never repeat and are never delayed. Whoever takes a job renews its lock and finishes it.
 */
export class JobFetcher<Data> {
	readonly #parts: JobFetcherParts<Data>;
	#worker: Worker<Data>;
	#fetching: Promise<void> = Promise.resolve();
	#stopping = false;
	/** Whether the last job has left its marker, and whether such markers have led nowhere lately. */
	#echo = false;
	#quiet = true;
	/** Ends the wait for a job, or for a connection to wait on. */
	#endWait: () => void = () => undefined;

	constructor(parts: JobFetcherParts<Data>) {
		this.#parts = parts;
		this.#worker = this.#make();
	}

	/** Fetches, and looks for stalled jobs, until `stop`. */
	start(): void {
		const worker = this.#worker;
		this.#fetching = this.#fetch(worker);
		worker.startStalledCheckTimer().catch((error: unknown) => this.#parts.log.error({ error }, "the check for stalled jobs doesn't run"));
	}

	/** Interrupts the wait for a job; one that was on its way is still taken. `room` has to resolve. */
	async stop(): Promise<void> {
		this.#stopping = true;
		await this.#worker.close(true);
		// By itself it may never end: a connection that is closed while it is being made again tells nobody (ioredis 6.0.0), and BullMQ waits for that.
		this.#endWait();
		await this.#fetching;
	}

	/** Goes on with a new BullMQ worker and connection. */
	revive(): void {
		const old = this.#worker;
		this.#worker = this.#make();
		old.close(true).catch((error: unknown) => this.#parts.log.debug({ error }, "the stuck worker didn't close"));
		this.start();
	}

	extendLocks(jobs: string[], tokens: string[], durationMs: number): Promise<string[]> {
		return this.#worker.extendJobLocks(jobs, tokens, durationMs);
	}

	#make(): Worker<Data> {
		const { queue, redis, log } = this.#parts;
		const worker = new Worker<Data>(queue, null, { ...WORKER_OPTIONS, connection: redis, prefix: QUEUE_PREFIX, autorun: false });
		worker.on("error", (error) => log.debug({ error, queue }, "worker"));
		return worker;
	}

	async #fetch(worker: Worker<Data>): Promise<void> {
		const id = randomUUID();
		// What was there before needs no marker to be found.
		let mayWait = false;
		for (let round = 0; !this.#stopping && worker === this.#worker; round++) {
			try {
				if (mayWait) await this.#untilStopped(worker.getBackend().waitForJob(WORKER_OPTIONS.drainDelay));
				await this.#parts.room();
				if (this.#stopping) return;
				mayWait = true;
				await this.#next(worker, `${id}-${round}`);
			} catch (error) {
				if (this.#stopping) return;
				this.#parts.log.debug({ error }, "no job could be fetched");
				await this.#recover(worker);
			}
		}
	}

	/**
	 * Every job that is taken leaves a marker behind, so that the next wait ends at once. When little is
	 * going on that is all it was, and the length of the queue tells so for a tenth of an empty look.
	 */
	async #next(worker: Worker<Data>, token: string): Promise<void> {
		if (this.#quiet && this.#echo && (await this.#parts.redis.llen(worker.toKey("wait"))) === 0) {
			this.#echo = false;
			return;
		}
		const askedAtMs = performance.now();
		const [json, id] = (await worker.getBackend().moveToActive(token, this.#parts.name)) as [JobJson | undefined, string];
		this.#quiet = !(json && this.#echo);
		this.#echo = Boolean(json);
		if (!json) return;
		this.#parts.take(Job.fromJSON<Data>(worker, json, id), token, askedAtMs);
		// The answer of a quick one goes first.
		await turn();
		await turn();
	}

	#untilStopped(waited: Promise<unknown>): Promise<void> {
		return new Promise((resolve, reject) => {
			this.#endWait = resolve;
			waited.then(() => resolve(), reject);
		});
	}

	async #recover(worker: Worker<Data>): Promise<void> {
		await wait(RETRY_MS);
		try {
			if (!this.#stopping) await this.#untilStopped(worker.getBackend().reconnectBlocking());
		} catch (error) {
			this.#parts.log.debug({ error }, "the blocking connection isn't back yet");
		}
	}
}
