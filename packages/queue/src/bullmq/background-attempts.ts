import { setTimeout as wait } from "node:timers/promises";
import type { CrashLoop, InvocationRequest, Settlement } from "@berth/contracts";
import type { Redis } from "@berth/redis";
import { type Job, UnrecoverableError } from "bullmq";
import type { BackgroundCancels } from "../background-cancels.js";
import type { BackgroundRecords } from "../background-records.js";
import { roughBytes } from "../interactive-records.js";
import { functionKeyOf } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import type { MemoryWatch } from "../memory-watch.js";
import { CANCEL_WORDS, type DeliveryHandler, type SettlementKeeper } from "../ports.js";
import { elapsedMs, rejectedSettlement } from "../settlements.js";
import { type Hindrance, refusalOf } from "./attempt-refusal.js";
import { backoffMsOf, endingOf, isTooOld, retryOf } from "./background-policy.js";
import type { FunctionQueues } from "./function-queues.js";
import type { LaneIndex } from "./lane-index.js";
import { Rests } from "./rests.js";
import { untake } from "./untaken.js";

/** Between two tries to write down what Redis refuses (it is full, or read-only), milliseconds. */
const RETRY_MS = 250;

/** How long a job of a version that can't be run here is left to others before it is looked at again, milliseconds. */
const ELSEWHERE_MS = 2000;

/** What an invocation needs that this node doesn't have, as in `the runtime class runsc`; undefined when it can run it. */
export type LackOf = (request: InvocationRequest) => Promise<string | undefined>;

/** Of an invocation whose version crashes again and again; it is left alone until that may be tried. */
export type CrashLoopOf = (request: InvocationRequest) => CrashLoop | undefined;

/** A job in hand. */
export interface HeldJob {
	readonly job: Job<InvocationRequest>;
	/** Of its function. */
	readonly key: string;
	/** Of its lock, which `lost` says to have ended. */
	readonly token: string;
	readonly lost: AbortSignal;
}

export interface BackgroundAttemptsParts {
	/** A connection for `patient` use to the durable Redis. */
	readonly redis: Redis;
	readonly records: BackgroundRecords;
	readonly cancels: BackgroundCancels;
	readonly queues: FunctionQueues;
	readonly index: LaneIndex;
	readonly nodeId: string;
	readonly log: QueueLogger;
	readonly handler: DeliveryHandler;
	readonly lackOf: LackOf;
	readonly crashLoopOf: CrashLoopOf;
	readonly settlements: SettlementKeeper | undefined;
	/** Of the durable Redis: where it is scarce, what is to be tried again takes as little as it can. */
	readonly memory: Pick<MemoryWatch, "add">;
	/** Told when a job is to be tried again. */
	readonly expect: (dueMs: number) => void;
}

/** How a job leaves a worker's hands. One that is `left` stays as it is: when its lock has ended, a worker takes it up again. */
type Leaving =
	| { readonly kind: "settled" | "elsewhere" }
	/** Its version crashes again and again: that costs it no attempt. */
	| { readonly kind: "resting"; readonly restMs: number }
	| { readonly kind: "dead" | "retried"; readonly reason: string }
	| { readonly kind: "left"; readonly why: string };

const LOST: Leaving = { kind: "left", why: "the lock was lost" };
const ELSEWHERE: Leaving = { kind: "elsewhere" };
const OVERTAKEN: Leaving = { kind: "left", why: "a newer attempt has begun" };

/** Runs attempts of background jobs. Only what is written down ends a job: an error of ours costs it no attempt, and leaves it where it is. */
export class BackgroundAttempts {
	readonly #parts: BackgroundAttemptsParts;
	readonly #rests = new Rests();
	#stale = 0;

	constructor(parts: BackgroundAttemptsParts) {
		this.#parts = parts;
	}

	/** Attempts whose settlement didn't count. */
	get stale(): number {
		return this.#stale;
	}

	/** Never rejects. */
	async run(held: HeldJob): Promise<void> {
		const { cancels } = this.#parts;
		const invocation = held.job.data.id;
		const cancelled = cancels.hold(invocation);
		try {
			const leaving = await this.#leaving(held, cancelled);
			if (leaving.kind === "left") this.#parts.log.debug({ invocation }, `a background job is left to others: ${leaving.why}`);
			else await this.#written(held, () => this.#move(held, leaving));
		} catch (error) {
			this.#parts.log.error({ error, invocation }, "a background job couldn't be gone on with; a worker takes it up again");
		} finally {
			cancels.release(invocation, cancelled);
		}
	}

	async #leaving(held: HeldJob, cancelled: AbortController): Promise<Leaving> {
		const { data } = held.job;
		const lack = await this.#parts.lackOf(data);
		// Whatever keeps it from being run, it ages.
		const crashLoop = this.#parts.crashLoopOf(data);
		if (isTooOld(data)) return await this.#attempt(held, cancelled, { lack, crashLoop });
		if (lack !== undefined) return ELSEWHERE;
		const restMs = crashLoop?.retryAfterMs ?? 0;
		return restMs > 0 ? { kind: "resting", restMs } : await this.#attempt(held, cancelled, {});
	}

	async #attempt(held: HeldJob, cancelled: AbortController, hindrance: Hindrance): Promise<Leaving> {
		const { job, token, lost } = held;
		// A stall raises attemptsStarted and not attemptsMade: only the former tells attempts apart.
		const attempt = job.attemptsStarted;
		const { records, memory, nodeId: node } = this.#parts;
		const begun = await this.#written(held, () => records.begin(job.data, attempt, token, node));
		if (begun === undefined) return LOST;
		if (begun.kind === "stale") return OVERTAKEN;
		if (begun.kind === "settled") {
			await this.#over(job.data);
			await this.#written(held, () => records.jobGone(job.data.id));
			return begun.dead ? { kind: "dead", reason: "settled before, as a dead letter" } : { kind: "settled" };
		}
		if (begun.cancelled) cancelled.abort(new Error(CANCEL_WORDS.asked));
		const queueMs = elapsedMs(begun.queuedAtMs);
		const refused = refusalOf(job, { node, attempt, queueMs }, hindrance);
		const settlement = refused ?? (await this.#handle(held, attempt, queueMs, cancelled.signal));
		if (lost.aborted) return LOST;
		const { crashLoop } = settlement.attempt;
		if (crashLoop !== undefined && (await this.#written(held, () => records.putOff(job.data.id, attempt, token))) === true)
			return { kind: "resting", restMs: crashLoop.retryAfterMs };
		const failuresLeft = refused === undefined ? retryOf(job.data).attempts - job.attemptsMade - 1 : 0;
		// Of one that couldn't be put off since it was cancelled meanwhile, this is the end.
		const ending = crashLoop === undefined ? endingOf(settlement.attempt.outcome, failuresLeft) : "retried";
		const kept = ending === "retried" ? job.data : await this.#kept(job.data, ending);
		memory.add(roughBytes(settlement));
		const ended = await this.#written(held, () => records.end(kept, settlement, ending));
		if (ended === undefined) return LOST;
		if (ended === "stale") {
			this.#stale++;
			return OVERTAKEN;
		}
		if (ended !== "retried") await this.#over(job.data);
		if (ended === "dead" || ended === "retried") return { kind: ended, reason: settlement.attempt.code ?? settlement.attempt.outcome };
		return { kind: "settled" };
	}

	async #move(held: HeldJob, leaving: Exclude<Leaving, { kind: "left" }>): Promise<void> {
		const { job, token } = held;
		try {
			if (leaving.kind === "settled") await job.moveToCompleted(undefined, token, false);
			else if (leaving.kind === "dead") await job.moveToFailed(new UnrecoverableError(leaving.reason), token, false);
			else if (leaving.kind === "elsewhere") await this.#untaken(held, ELSEWHERE_MS);
			else if (leaving.kind === "resting") await this.#untaken(held, this.#rests.until(versionKeyOf(job.data), leaving.restMs));
			else await this.#again(held, backoffMsOf(retryOf(job.data).backoffMs, job.attemptsMade + 1), { skipAttempt: false });
		} catch (error) {
			// What BullMQ says by a code is how the job is, whatever is tried: it is out of our hands.
			if (!isVerdict(error)) throw error;
			this.#parts.log.debug({ error, invocation: job.data.id }, "a background job had left our hands; its settlement stands");
		}
	}

	/** Nothing of it ran: it was only looked at, or there was no sandbox for it. */
	async #untaken(held: HeldJob, delayMs: number): Promise<void> {
		const { queues, redis } = this.#parts;
		await untake(redis, queues.of(held.key), held.job, held.token);
		await this.#again(held, delayMs, { skipAttempt: true });
	}

	/** Its function is in the index for as long as it has a job in hand, but is to be looked at in time. */
	async #again({ job, key, token }: HeldJob, delayMs: number, opts: { readonly skipAttempt: boolean }): Promise<void> {
		const now = Date.now();
		await this.#parts.queues
			.of(key)
			.getBackend()
			.moveToDelayed(job.id as string, now, delayMs, token, opts);
		await this.#parts.index.dueBy(key, now + delayMs);
		this.#parts.expect(now + delayMs);
	}

	/** Writes a job's state down, as often as it takes while its lock holds. Gives undefined when it doesn't any more. */
	async #written<Result>({ job, lost }: HeldJob, write: () => Promise<Result>): Promise<Result | undefined> {
		while (!lost.aborted) {
			try {
				return await write();
			} catch (error) {
				this.#parts.log.error({ error, invocation: job.data.id }, "the state of a background job couldn't be written");
				// The lock's end ends the wait as well; which of them it was is looked at above.
				await wait(RETRY_MS, undefined, { signal: lost }).catch(() => undefined);
			}
		}
		return undefined;
	}

	/** As it is kept for a replay; when that fails it stays as it was, and won't be replayed. */
	async #kept(request: InvocationRequest, ending: "settled" | "dead"): Promise<InvocationRequest> {
		try {
			return (await this.#parts.settlements?.keep(request, ending === "dead")) ?? request;
		} catch (error) {
			this.#parts.log.warn({ error, invocation: request.id }, "a payload couldn't be kept for a replay");
			return request;
		}
	}

	/** Whatever comes of it, the invocation is settled. */
	async #over(request: InvocationRequest): Promise<void> {
		try {
			await this.#parts.settlements?.over(request);
		} catch (error) {
			this.#parts.log.error({ error, invocation: request.id }, "what a settled invocation held couldn't be freed");
		}
	}

	async #handle({ job, lost }: HeldJob, attempt: number, queueMs: number, cancelled: AbortSignal): Promise<Settlement> {
		const request = job.data;
		try {
			return await this.#parts.handler({ request, attempt, lane: "background", queueMs, lost, cancelled });
		} catch (error) {
			this.#parts.log.error({ error, invocation: request.id, attempt }, "an attempt failed on the platform's side");
			return rejectedSettlement(this.#parts.nodeId, attempt, queueMs, error);
		}
	}
}

/** Whether it is BullMQ's answer and not a failure to ask. */
function isVerdict(error: unknown): boolean {
	return error instanceof Error && typeof (error as Error & { code?: unknown }).code === "number";
}

function versionKeyOf(request: InvocationRequest): string {
	return `${functionKeyOf(request)}:${request.version}`;
}
