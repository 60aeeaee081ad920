import { setTimeout as wait } from "node:timers/promises";
import type { InvocationRequest, Settlement } from "@berth/contracts";
import { type Job, Queue } from "bullmq";
import type { Redis } from "ioredis";
import { InteractiveRecords, type RecordBudget } from "../interactive-records.js";
import { interactiveQueueOf, QUEUE_PREFIX } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import type { DeliveryHandler } from "../ports.js";
import { elapsedMs, platformSettlement, rejectedSettlement } from "../settlements.js";
import { Settler } from "../settler.js";
import type { InteractiveEnvelope } from "./envelope.js";
import { JobFetcher } from "./job-fetcher.js";
import { SHORT_STREAM } from "./leases.js";
import { LockKeeper } from "./lock-keeper.js";
import { VERDICT_TEXT } from "./verdicts.js";
import { Watchdog } from "./watchdog.js";

const RETRY_MS = 250;
/** How often a settlement is tried that Redis refuses (it is full, or read-only). */
const SETTLE_TURNS = 6;
const ATTEMPT = 1;

export interface InteractiveSourceParts {
	/** A `worker` connection to the fast Redis. */
	readonly redis: Redis;
	readonly nodeId: string;
	readonly log: QueueLogger;
	readonly budget?: RecordBudget;
}

/** A job in hand. */
interface Batch {
	readonly job: Job<InteractiveEnvelope>;
	readonly token: string;
	readonly lost: AbortSignal;
	/** Invocations of it that aren't settled. */
	left: number;
}
interface Held {
	readonly request: InvocationRequest;
	readonly batch: Batch;
}

/**
 * The interactive lane of one node. Jobs are fetched by hand (BullMQ's pattern of that name), because
 * a job carries many invocations: the next one is fetched while there is room for an invocation.
 * It doesn't own the connection.
 */
export class InteractiveSource {
	readonly #parts: InteractiveSourceParts;
	readonly #settler: Settler;
	readonly #keeper: LockKeeper;
	readonly #queue: Queue<InteractiveEnvelope>;
	readonly #fetcher: JobFetcher<InteractiveEnvelope>;
	#watchdog: Watchdog | undefined;
	#handler: DeliveryHandler | undefined;
	#limit = 0;
	#running = 0;
	#taken = 0;
	#settled = 0;
	#stale = 0;
	readonly #held: Held[] = [];
	readonly #batches = new Set<Batch>();
	readonly #wakers = new Set<() => void>();
	#stopping = false;

	constructor(parts: InteractiveSourceParts) {
		this.#parts = parts;
		this.#settler = new Settler(new InteractiveRecords(parts.redis, parts.budget));
		const queue = interactiveQueueOf(parts.nodeId);
		this.#fetcher = new JobFetcher({
			queue,
			redis: parts.redis,
			log: parts.log,
			room: () => this.#room(),
			take: (job, token) => this.#take(job, token),
		});
		this.#keeper = new LockKeeper((jobs, tokens, ms) => this.#fetcher.extendLocks(jobs, tokens, ms), parts.log);
		this.#queue = new Queue(queue, { connection: parts.redis, prefix: QUEUE_PREFIX, ...SHORT_STREAM });
		this.#queue.on("error", (error) => parts.log.debug({ error }, "interactive queue"));
	}

	/** Fetches and runs until `stop`, at most `limit` invocations at a time. */
	start(handler: DeliveryHandler, limit: number): void {
		this.#handler = handler;
		this.#limit = limit;
		this.#fetcher.start();
		this.#watchdog = new Watchdog({
			waiting: () => this.#parts.redis.llen(this.#queue.keys["wait"] as string),
			active: () => this.#batches.size,
			taken: () => this.#taken,
			revive: () => this.#revive(),
		});
	}

	/** Fetches nothing more. What is in hand goes on; `idle` says when it is done. */
	async stop(): Promise<void> {
		this.#stopping = true;
		this.#watchdog?.stop();
		this.#wake();
		await this.#fetcher.stop();
	}

	/** Resolves when nothing is in hand. */
	async idle(): Promise<void> {
		while (this.#batches.size > 0) await this.#change();
	}

	get totals(): {
		readonly taken: number;
		readonly settled: number;
		readonly stale: number;
		readonly inHand: number;
		readonly revived: number;
	} {
		const inHand = this.#running + this.#held.length;
		return { taken: this.#taken, settled: this.#settled, stale: this.#stale, inHand, revived: this.#watchdog?.revived ?? 0 };
	}

	/** Lets go of every lock: whatever is still in hand will be taken for lost. */
	async close(): Promise<void> {
		await this.stop();
		for (const { job } of this.#batches) this.#keeper.release(job.id as string);
		this.#batches.clear();
		this.#wake();
		await this.#queue.close();
	}

	#revive(): void {
		this.#parts.log.error({ node: this.#parts.nodeId }, "the interactive worker took no job while some waited; made anew");
		this.#fetcher.revive();
	}

	async #room(): Promise<void> {
		while (!this.#stopping && this.#running + this.#held.length >= this.#limit) await this.#change();
	}

	#take(job: Job<InteractiveEnvelope>, token: string): void {
		const { requests } = job.data;
		const lost = this.#keeper.hold(job.id as string, token, job.processedOn ?? Date.now());
		const batch: Batch = { job, token, lost, left: requests.length };
		this.#batches.add(batch);
		this.#taken += requests.length;
		// Started before: another worker had it and died. Nothing of it may run again.
		if (job.attemptsStarted > 1) for (const request of requests) void this.#drop(request, batch, "worker_lost");
		else for (const request of requests) this.#held.push({ request, batch });
		this.#pump();
	}

	#pump(): void {
		while (this.#running < this.#limit) {
			const next = this.#held.shift();
			if (next === undefined) return;
			if (next.request.expiresAtMs !== undefined && Date.now() > next.request.expiresAtMs) {
				void this.#drop(next.request, next.batch, "expired_in_queue");
			} else {
				this.#running++;
				void this.#run(next);
			}
		}
	}

	async #run({ request, batch }: Held): Promise<void> {
		const settlement = await this.#handle(request, batch.lost);
		this.#running--;
		this.#pump();
		this.#wake();
		await this.#settle(request, settlement, batch);
	}

	async #handle(request: InvocationRequest, lost: AbortSignal): Promise<Settlement> {
		const queueMs = elapsedMs(request.acceptedAtMs);
		try {
			const handler = this.#handler as DeliveryHandler;
			return await handler({ request, attempt: ATTEMPT, lane: "interactive", queueMs, lost });
		} catch (error) {
			this.#parts.log.error({ error, invocation: request.id }, "an attempt failed on the platform's side");
			return rejectedSettlement(this.#parts.nodeId, ATTEMPT, queueMs, error);
		}
	}

	async #drop(request: InvocationRequest, batch: Batch, code: "expired_in_queue" | "worker_lost"): Promise<void> {
		const queueMs = elapsedMs(request.acceptedAtMs);
		const message = VERDICT_TEXT[code];
		await this.#settle(request, platformSettlement({ node: this.#parts.nodeId, attempt: ATTEMPT, code, message, queueMs }), batch);
	}

	async #settle(request: InvocationRequest, settlement: Settlement, batch: Batch): Promise<void> {
		const settled = { request, settlement, replyTo: batch.job.data.replyTo };
		for (let turn = 1; !batch.lost.aborted; turn++) {
			try {
				if (await this.#settler.settle(settled)) this.#settled++;
				else this.#stale++;
				break;
			} catch (error) {
				this.#parts.log.error({ error, invocation: request.id, turn }, "a settlement couldn't be written");
				if (turn === SETTLE_TURNS) break;
				await wait(turn * RETRY_MS);
			}
		}
		if (--batch.left === 0) await this.#finish(batch);
	}

	async #finish(batch: Batch): Promise<void> {
		const { job, token, lost } = batch;
		try {
			if (!lost.aborted) await job.moveToCompleted(undefined, token, false);
		} catch (error) {
			this.#parts.log.warn({ error, job: job.id }, "a job couldn't be completed; its settlements stand");
		}
		this.#keeper.release(job.id as string);
		this.#batches.delete(batch);
		this.#wake();
	}

	#wake(): void {
		for (const waker of this.#wakers) waker();
		this.#wakers.clear();
	}

	#change(): Promise<void> {
		return new Promise((resolve) => this.#wakers.add(resolve));
	}
}
