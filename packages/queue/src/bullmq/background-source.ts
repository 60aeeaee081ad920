import { setTimeout as wait } from "node:timers/promises";
import type { InvocationRequest, Settlement } from "@berth/contracts";
import type { Redis } from "@berth/redis";
import { DelayedError, type Job, Queue, UnrecoverableError, WaitingError, Worker } from "bullmq";
import { BackgroundCancels } from "../background-cancels.js";
import { BackgroundRecords, type Retention } from "../background-records.js";
import { BACKGROUND_QUEUE, QUEUE_PREFIX } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import type { DeliveryHandler, SettlementKeeper } from "../ports.js";
import { elapsedMs, platformSettlement, rejectedSettlement } from "../settlements.js";
import { endingOf, MOST_AGE_MS, MOST_STALLS } from "./background-policy.js";
import { SHORT_STREAM, WORKER_OPTIONS } from "./leases.js";
import { LockKeeper } from "./lock-keeper.js";
import { Watchdog } from "./watchdog.js";

/** Between two tries to write down what Redis refuses (it is full, or read-only), milliseconds. */
const RETRY_MS = 250;

/** An attempt that failed and is written down: BullMQ's to try again. */
class AttemptFailed extends Error {
	override readonly name = "AttemptFailed";
}

export interface BackgroundSourceParts {
	/** A connection for `patient` use to the durable Redis. */
	readonly redis: Redis;
	/** One for `subscriber` use. */
	readonly subscriber: Redis;
	readonly nodeId: string;
	readonly log: QueueLogger;
	readonly retention?: Retention;
}

/** The background lane as a worker sees it. It doesn't own the connection. */
export class BackgroundSource {
	readonly #parts: BackgroundSourceParts;
	readonly #records: BackgroundRecords;
	readonly #keeper: LockKeeper;
	readonly #cancels: BackgroundCancels;
	readonly #queue: Queue<InvocationRequest>;
	#worker: Worker<InvocationRequest> | undefined;
	#watchdog: Watchdog | undefined;
	#handler: DeliveryHandler | undefined;
	#settlements: SettlementKeeper | undefined;
	#taken = 0;
	#active = 0;
	#stale = 0;
	#stopped = false;
	#onIdle: (() => void)[] = [];

	constructor(parts: BackgroundSourceParts) {
		this.#parts = parts;
		this.#records = new BackgroundRecords(parts.redis, parts.retention);
		this.#cancels = new BackgroundCancels(parts.subscriber, this.#records, parts.log);
		this.#keeper = new LockKeeper(async (jobs, tokens, ms) => (await this.#worker?.extendJobLocks(jobs, tokens, ms)) ?? [], parts.log);
		this.#queue = new Queue(BACKGROUND_QUEUE, { connection: parts.redis, prefix: QUEUE_PREFIX, ...SHORT_STREAM });
		this.#queue.on("error", (error) => parts.log.debug({ error }, "background queue"));
	}

	/** Takes jobs until `stop`, at most `limit` at a time. */
	start(handler: DeliveryHandler, limit: number, settlements?: SettlementKeeper): void {
		this.#handler = handler;
		this.#settlements = settlements;
		this.#worker = this.#makeWorker(limit);
		this.#watchdog = new Watchdog({
			waiting: () => this.#parts.redis.llen(this.#queue.keys["wait"] as string),
			active: () => this.#active,
			taken: () => this.#taken,
			revive: () => this.#revive(limit),
		});
	}

	/** Takes nothing more; what is in hand goes on. */
	async stop(): Promise<void> {
		this.#stopped = true;
		this.#watchdog?.stop();
		await this.#worker?.pause(true);
	}

	/** Resolves when nothing is in hand. */
	async idle(): Promise<void> {
		while (this.#active > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
	}

	/** As `BackgroundRecords.hasAny`. */
	hasAny(version: Parameters<BackgroundRecords["hasAny"]>[0]): Promise<boolean> {
		return this.#records.hasAny(version);
	}

	get totals(): { readonly taken: number; readonly inHand: number; readonly stale: number; readonly revived: number } {
		return { taken: this.#taken, inHand: this.#active, stale: this.#stale, revived: this.#watchdog?.revived ?? 0 };
	}

	/** What is still in hand is taken up by another worker when its lock has ended. */
	async close(): Promise<void> {
		this.#watchdog?.stop();
		await this.#worker?.close(true);
		await this.#queue.close();
	}

	#makeWorker(concurrency: number): Worker<InvocationRequest> {
		const worker = new Worker<InvocationRequest>(BACKGROUND_QUEUE, (job, token) => this.#process(job, token ?? ""), {
			...WORKER_OPTIONS,
			connection: this.#parts.redis,
			prefix: QUEUE_PREFIX,
			concurrency,
			skipLockRenewal: true,
		});
		worker.on("error", (error) => this.#parts.log.debug({ error }, "background worker"));
		return worker;
	}

	#revive(limit: number): void {
		this.#parts.log.error({ node: this.#parts.nodeId }, "the background worker took no job while some waited; made anew");
		const old = this.#worker;
		this.#worker = this.#makeWorker(limit);
		old?.close(true).catch((error: unknown) => this.#parts.log.debug({ error }, "the stuck worker didn't close"));
	}

	async #process(job: Job<InvocationRequest>, token: string): Promise<void> {
		if (this.#stopped) {
			// It was on its way when `stop` came: back into the queue, for another worker.
			await job.moveToWait(token);
			throw new WaitingError();
		}
		const id = job.id as string;
		const lost = this.#keeper.hold(id, token, job.processedOn ?? Date.now());
		this.#taken++;
		this.#active++;
		try {
			await this.#attempt(job, token, lost);
		} catch (error) {
			throw this.#forBullMq(error, id);
		} finally {
			this.#keeper.release(token);
			this.#active--;
			if (this.#active === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
		}
	}

	/** Only what is written down ends a job: an error of ours costs it no attempt, and leaves it where it is. */
	#forBullMq(error: unknown, invocation: string): Error {
		if (error instanceof AttemptFailed || error instanceof UnrecoverableError || error instanceof DelayedError) return error;
		this.#parts.log.error({ error, invocation }, "a background job couldn't be gone on with; a worker takes it up again");
		return new DelayedError("it couldn't be gone on with");
	}

	/** Writes a job's state down, as often as it takes while its lock holds. @throws DelayedError when it doesn't any more */
	async #written<Result>(invocation: string, lost: AbortSignal, write: () => Promise<Result>): Promise<Result> {
		for (;;) {
			if (lost.aborted) throw new DelayedError("the lock was lost; another worker goes on with it");
			try {
				return await write();
			} catch (error) {
				this.#parts.log.error({ error, invocation }, "the state of a background job couldn't be written");
				// The lock's end ends the wait as well; which of them it was is looked at above.
				await wait(RETRY_MS, undefined, { signal: lost }).catch(() => undefined);
			}
		}
	}

	/**
	 * Returns to complete the job, throws AttemptFailed to have it tried again, an UnrecoverableError to bury
	 * it, and a DelayedError to leave it as it is: when its lock has ended, a worker takes it up again.
	 */
	async #attempt(job: Job<InvocationRequest>, token: string, lost: AbortSignal): Promise<void> {
		// A stall raises attemptsStarted and not attemptsMade: only the former tells attempts apart.
		const attempt = job.attemptsStarted;
		const { id } = job.data;
		const cancelled = this.#cancels.hold(id);
		try {
			await this.#hold(job, token, attempt, lost, cancelled);
		} finally {
			this.#cancels.release(id, cancelled);
		}
	}

	async #hold(job: Job<InvocationRequest>, token: string, attempt: number, lost: AbortSignal, cancelled: AbortController): Promise<void> {
		const { id } = job.data;
		const begun = await this.#written(id, lost, () => this.#records.begin(job.data, attempt, token));
		if (begun.kind === "settled") await this.#over(job.data);
		if (begun.kind === "settled" && begun.dead) throw new UnrecoverableError("settled before, as a dead letter");
		if (begun.kind === "settled") return;
		if (begun.kind === "stale") throw new DelayedError("a newer attempt has begun");
		if (begun.cancelled) cancelled.abort(new Error("it was cancelled"));
		const queueMs = elapsedMs(begun.queuedAtMs);
		const refused = this.#refusal(job, attempt, queueMs);
		const settlement = refused ?? (await this.#handle(job.data, attempt, queueMs, lost, cancelled.signal));
		if (lost.aborted) throw new DelayedError("the lock was lost; another worker goes on with it");
		const failuresLeft = refused === undefined ? (job.opts.attempts ?? 1) - job.attemptsMade - 1 : 0;
		const ending = endingOf(settlement.attempt.outcome, failuresLeft);
		const kept = ending === "retried" ? job.data : await this.#kept(job.data, ending);
		const ended = await this.#written(id, lost, () => this.#records.end(kept, settlement, ending));
		if (ended === "stale") {
			this.#stale++;
			throw new DelayedError("a newer attempt has begun");
		}
		if (ended !== "retried") await this.#over(job.data);
		if (ended === "dead") throw new UnrecoverableError(settlement.attempt.code ?? settlement.attempt.outcome);
		if (ended === "retried") throw new AttemptFailed(settlement.attempt.code ?? settlement.attempt.outcome);
	}

	/** As it is kept for a replay; when that fails it stays as it was, and won't be replayed. */
	async #kept(request: InvocationRequest, ending: "settled" | "dead"): Promise<InvocationRequest> {
		try {
			return (await this.#settlements?.keep(request, ending === "dead")) ?? request;
		} catch (error) {
			this.#parts.log.warn({ error, invocation: request.id }, "a payload couldn't be kept for a replay");
			return request;
		}
	}

	/** Whatever comes of it, the invocation is settled. */
	async #over(request: InvocationRequest): Promise<void> {
		try {
			await this.#settlements?.over(request);
		} catch (error) {
			this.#parts.log.error({ error, invocation: request.id }, "what a settled invocation held couldn't be freed");
		}
	}

	/** The settlement of a job that isn't run any more. */
	#refusal(job: Job<InvocationRequest>, attempt: number, queueMs: number): Settlement | undefined {
		const node = this.#parts.nodeId;
		if (elapsedMs(job.data.acceptedAtMs) > MOST_AGE_MS) {
			return platformSettlement({ node, attempt, queueMs, code: "expired_in_queue", message: "It is older than six hours." });
		}
		if (job.stalledCounter > MOST_STALLS) {
			return platformSettlement({
				node,
				attempt,
				queueMs,
				code: "worker_lost",
				message: `${job.stalledCounter} workers died while they held it.`,
			});
		}
		return undefined;
	}

	async #handle(
		request: InvocationRequest,
		attempt: number,
		queueMs: number,
		lost: AbortSignal,
		cancelled: AbortSignal,
	): Promise<Settlement> {
		try {
			const handler = this.#handler as DeliveryHandler;
			return await handler({ request, attempt, lane: "background", queueMs, lost, cancelled });
		} catch (error) {
			this.#parts.log.error({ error, invocation: request.id, attempt }, "an attempt failed on the platform's side");
			return rejectedSettlement(this.#parts.nodeId, attempt, queueMs, error);
		}
	}
}
