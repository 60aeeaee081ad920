import { setTimeout as wait } from "node:timers/promises";
import type { CrashLoop, InvocationRequest, Settlement } from "@berth/contracts";
import { type Redis, sharedNow } from "@berth/redis";
import type { BackgroundCancels } from "../background-cancels.js";
import type { BackgroundRecords } from "../background-records.js";
import { HandedBackError } from "../handed-back.js";
import { roughBytes } from "../interactive-records.js";
import type { QueueLogger } from "../logger.js";
import type { MemoryWatch } from "../memory-watch.js";
import { CANCEL_WORDS, type DeliveryHandler, type SettlementKeeper } from "../ports.js";
import { cancelledSettlement, elapsedMs, rejectedSettlement } from "../settlements.js";
import { type Hindrance, refusalOf } from "./attempt-refusal.js";
import { type HeldJob, type Leaving, Leavings } from "./background-leavings.js";
import { backoffMsOf, endingOf, isTooOld, retryOf } from "./background-policy.js";
import type { FunctionQueues } from "./function-queues.js";
import type { LaneIndex } from "./lane-index.js";

/** Between two tries to write down what Redis refuses (it is full, or read-only), milliseconds. */
const RETRY_MS = 250;

/** What an invocation needs that this node doesn't have, as in `the runtime class runsc`; undefined when it can run it. */
export type LackOf = (request: InvocationRequest) => Promise<string | undefined>;

/** Of an invocation whose version crashes again and again; it is left alone until that may be tried. */
export type CrashLoopOf = (request: InvocationRequest) => CrashLoop | undefined;

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

const LOST: Leaving = { kind: "left", why: "the lock was lost" };
const ELSEWHERE: Leaving = { kind: "elsewhere" };
const UNTAKEN: Leaving = { kind: "untaken" };
const OVERTAKEN: Leaving = { kind: "left", why: "a newer attempt has begun" };

/** Runs attempts of background jobs. Only what is written down ends a job: an error of ours costs it no attempt, and leaves it where it is. */
export class BackgroundAttempts {
	readonly #parts: BackgroundAttemptsParts;
	readonly #leavings: Leavings;
	/** What of it hasn't begun, and how it is handed back. */
	readonly #unbegun = new Map<HeldJob, AbortController>();
	#isHandingBack = false;
	#stale = 0;

	constructor(parts: BackgroundAttemptsParts) {
		this.#parts = parts;
		this.#leavings = new Leavings(parts);
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
			else await this.#written(held, () => this.#leavings.move(held, leaving));
		} catch (error) {
			this.#parts.log.error({ error, invocation }, "a background job couldn't be gone on with; a worker takes it up again");
		} finally {
			this.#unbegun.delete(held);
			cancels.release(invocation, cancelled);
		}
	}

	/** What hasn't begun goes back to its queue, as if nobody had taken it; so does what comes from now on. Until `takeAgain`. */
	handBack(): void {
		this.#isHandingBack = true;
		const given = [...this.#unbegun.values()];
		this.#unbegun.clear();
		for (const cancelled of given) cancelled.abort(new HandedBackError());
	}

	takeAgain(): void {
		this.#isHandingBack = false;
	}

	async #leaving(held: HeldJob, cancelled: AbortController): Promise<Leaving> {
		const { data } = held.job;
		if (this.#isHandingBack) return UNTAKEN;
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
		const settled = refused ?? (await this.#handle(held, attempt, queueMs, cancelled));
		if (lost.aborted) return LOST;
		if (settled === undefined && (await this.#written(held, () => records.putOff(job.data.id, attempt, token))) === true) return UNTAKEN;
		// Of one that was handed back and can't be put off since it was cancelled meanwhile, this is the end.
		const settlement = settled ?? cancelledSettlement(node, attempt, queueMs, CANCEL_WORDS.asked);
		const { crashLoop } = settlement.attempt;
		if (crashLoop !== undefined && (await this.#written(held, () => records.putOff(job.data.id, attempt, token))) === true)
			return { kind: "resting", restMs: crashLoop.retryAfterMs };
		const failuresLeft = refused === undefined ? retryOf(job.data).attempts - job.attemptsMade - 1 : 0;
		// Of one that couldn't be put off since it was cancelled meanwhile, this is the end.
		const ending = crashLoop === undefined ? endingOf(settlement.attempt.outcome, failuresLeft) : "retried";
		const kept = ending === "retried" ? job.data : await this.#kept(job.data, ending);
		memory.add(roughBytes(settlement));
		const nextAtMs = sharedNow() + backoffMsOf(retryOf(job.data).backoffMs, job.attemptsMade + 1);
		const ended = await this.#written(held, () => records.end(kept, settlement, ending, nextAtMs));
		if (ended === undefined) return LOST;
		if (ended === "stale") {
			this.#stale++;
			return OVERTAKEN;
		}
		if (ended !== "retried") await this.#over(job.data);
		if (ended === "retried") return { kind: ended, nextAtMs };
		if (ended === "dead") return { kind: ended, reason: settlement.attempt.code ?? settlement.attempt.outcome };
		return { kind: "settled" };
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

	/** Undefined when it was handed back before it began. One that was cancelled isn't: nobody is to run it. */
	async #handle(held: HeldJob, attempt: number, queueMs: number, cancelled: AbortController): Promise<Settlement | undefined> {
		const { job, lost } = held;
		const { signal } = cancelled;
		const request = job.data;
		if (this.#isHandingBack && !signal.aborted) return undefined;
		if (!signal.aborted) this.#unbegun.set(held, cancelled);
		const begin = () => {
			this.#unbegun.delete(held);
			return !(signal.reason instanceof HandedBackError);
		};
		try {
			return await this.#parts.handler({ request, attempt, lane: "background", queueMs, lost, cancelled: signal, begin });
		} catch (error) {
			if (error instanceof HandedBackError) return undefined;
			this.#parts.log.error({ error, invocation: request.id, attempt }, "an attempt failed on the platform's side");
			return begin() ? rejectedSettlement(this.#parts.nodeId, attempt, queueMs, error) : undefined;
		}
	}
}
