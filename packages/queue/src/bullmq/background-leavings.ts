import type { InvocationRequest } from "@berth/contracts";
import { type Redis, sharedNow } from "@berth/redis";
import { type Job, UnrecoverableError } from "bullmq";
import { functionKeyOf, LANE } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import type { FunctionQueues } from "./function-queues.js";
import type { LaneIndex } from "./lane-index.js";
import { Rests } from "./rests.js";
import { untake } from "./untaken.js";

/** How long a job of a version that can't be run here is left to others before it is looked at again, milliseconds. */
const ELSEWHERE_MS = 2000;

/** A job in hand. */
export interface HeldJob {
	readonly job: Job<InvocationRequest>;
	/** Of its function. */
	readonly key: string;
	/** Of its lock, which `lost` says to have ended. */
	readonly token: string;
	readonly lost: AbortSignal;
}

/** How a job leaves a worker's hands. One that is `left` stays as it is: when its lock has ended, a worker takes it up again. */
export type Leaving =
	| { readonly kind: "settled" | "elsewhere" }
	/** As if nobody had taken it. */
	| { readonly kind: "untaken" }
	/** Its version crashes again and again: that costs it no attempt. */
	| { readonly kind: "resting"; readonly restMs: number }
	| { readonly kind: "dead"; readonly reason: string }
	/** Not before `nextAtMs`, as its record says. */
	| { readonly kind: "retried"; readonly nextAtMs: number }
	| { readonly kind: "left"; readonly why: string };

export interface LeavingsParts {
	/** A connection for `patient` use to the durable Redis. */
	readonly redis: Redis;
	readonly queues: FunctionQueues;
	readonly index: LaneIndex;
	readonly log: QueueLogger;
	/** Told when a job is to be tried again. */
	readonly expect: (dueMs: number) => void;
}

/** How background jobs leave a worker's hands: out of their queue, or back into it. */
export class Leavings {
	readonly #parts: LeavingsParts;
	readonly #rests = new Rests();

	constructor(parts: LeavingsParts) {
		this.#parts = parts;
	}

	async move(held: HeldJob, leaving: Exclude<Leaving, { kind: "left" }>): Promise<void> {
		const { job, token } = held;
		try {
			if (leaving.kind === "settled") await job.moveToCompleted(undefined, token, false);
			else if (leaving.kind === "dead") await job.moveToFailed(new UnrecoverableError(leaving.reason), token, false);
			else if (leaving.kind === "untaken") await this.#putBack(held);
			else if (leaving.kind === "elsewhere") await this.#untaken(held, ELSEWHERE_MS);
			else if (leaving.kind === "resting") await this.#untaken(held, this.#rests.until(versionKeyOf(job.data), leaving.restMs));
			else if (leaving.kind === "retried") await this.#again(held, Math.max(1, leaving.nextAtMs - sharedNow()), { skipAttempt: false });
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

	/** Whoever is next to take it is told: this worker may take nothing more. */
	async #putBack({ job, key, token }: HeldJob): Promise<void> {
		const { queues, redis, index } = this.#parts;
		await untake(redis, queues.of(key), job, token);
		await job.moveToWait(token);
		await index.dueBy(key, sharedNow());
		await redis.publish(LANE.news, key);
	}

	/** Its function is in the index for as long as it has a job in hand, but is to be looked at in time. */
	async #again({ job, key, token }: HeldJob, delayMs: number, opts: { readonly skipAttempt: boolean }): Promise<void> {
		const now = sharedNow();
		await this.#parts.queues
			.of(key)
			.getBackend()
			.moveToDelayed(job.id as string, now, delayMs, token, opts);
		await this.#parts.index.dueBy(key, now + delayMs);
		this.#parts.expect(now + delayMs);
	}
}

/** Whether it is BullMQ's answer and not a failure to ask. */
function isVerdict(error: unknown): boolean {
	return error instanceof Error && typeof (error as Error & { code?: unknown }).code === "number";
}

function versionKeyOf(request: InvocationRequest): string {
	return `${functionKeyOf(request)}:${request.version}`;
}
