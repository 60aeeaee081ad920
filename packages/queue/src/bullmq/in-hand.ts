import type { InvocationRequest, Settlement } from "@berth/contracts";
import { sharedNow } from "@berth/redis";
import type { Job } from "bullmq";
import type { Cancelled } from "../cancellations.js";
import { HandedBackError } from "../handed-back.js";
import type { SettledInvocation } from "../interactive-records.js";
import { functionKeyOf } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import { CANCEL_WORDS, type CancelReason, type DeliveryHandler } from "../ports.js";
import { cancelledSettlement, elapsedMs, platformSettlement, rejectedSettlement } from "../settlements.js";
import { Awaited } from "./awaited.js";
import type { Beginning, Beginnings } from "./beginnings.js";
import type { InteractiveEnvelope } from "./envelope.js";
import { FairLine } from "./fair-line.js";
import type { Turn } from "./fair-ring.js";
import { VERDICT_TEXT } from "./verdicts.js";

/** An interactive invocation isn't tried again. */
const ATTEMPT = 1;
/** Cancellations that came before their invocation did, the oldest forgotten first. */
const MOST_EARLY = 4096;

/** By id, what of a job was found when it was taken once more. */
export interface Retaken {
	readonly ours: ReadonlySet<string>;
	readonly others: ReadonlySet<string>;
}

/** A job in hand. */
export interface Batch {
	readonly job: Job<InteractiveEnvelope>;
	readonly token: string;
	readonly lost: AbortSignal;
	/** Whether it was sent to the server before that was started again, so that it may have been begun, whatever is known of it. */
	readonly isOfBefore: boolean;
	/** Invocations of it that aren't settled. */
	left: number;
}
interface Held {
	readonly request: InvocationRequest;
	readonly batch: Batch;
	readonly cancelled: AbortController;
	readonly beginning: Beginning;
	/** How many others it waits for; and whether it holds a place, which one that was invoked by another never does. */
	waitsFor: number;
	holdsPlace: boolean;
	/** What it has its place by, and how long it held one, up to the moment from which on it does. */
	turn?: Turn;
	heldMs: number;
	sinceMs: number;
}

export interface InHandParts {
	readonly nodeId: string;
	readonly log: QueueLogger;
	/** Writes the end of an invocation; never rejects. */
	readonly settle: (settled: SettledInvocation, batch: Batch) => Promise<void>;
	/** One isn't this node's any more: others settle it. */
	readonly leave: (batch: Batch) => Promise<void>;
	readonly beginnings: Beginnings;
	/** Of a job that was started before, by a worker that died or lost its lock, or may have been: those that it hadn't begun, which are this one's now; and those that somebody else has by now. */
	readonly retake: (batch: Batch) => Promise<Retaken>;
	/** There is room for one more, or nothing left. */
	readonly changed: () => void;
}

/**
 * The invocations that a node has taken: those that run, up to a limit, and those that wait for it. What an invocation waits for
 * must be able to run whatever else does: who waits for another one has no place meanwhile, and whom one waits for needs none.
 */
export class InHand {
	readonly #parts: InHandParts;
	readonly #byId = new Map<string, Held>();
	readonly #early = new Map<string, CancelReason>();
	/** Jobs that are being taken once more. */
	readonly #retakes = new Set<Promise<void>>();
	readonly #awaited = new Awaited();
	/** Projects take turns, and the functions of each: one that floods makes none of the others wait for its flood. */
	readonly #waiting = new FairLine<Held>(({ request }) => functionKeyOf(request));
	#handler: DeliveryHandler | undefined;
	#limit = 0;
	/** Places that are taken. */
	#running = 0;
	#taken = 0;

	constructor(parts: InHandParts) {
		this.#parts = parts;
	}

	start(handler: DeliveryHandler, limit: number): void {
		this.#handler = handler;
		this.#limit = limit;
	}

	/**
	 * Beyond its places it takes as many as may run, so that they take turns: what is left in the queue has none. And more as long
	 * as one that is waited for isn't here: it is at the head of the queue as soon as it is in it.
	 */
	get full(): boolean {
		return this.#awaited.missing === 0 && this.#waiting.length >= this.#limit;
	}

	get size(): number {
		return this.#byId.size;
	}

	/** Invocations taken since the start. */
	get taken(): number {
		return this.#taken;
	}

	/**
	 * Takes all invocations of a job. One that was started before had a worker that died, or lost it, and one of before the server was started again may
	 * have had: nothing of it may run again that may have begun.
	 */
	take(batch: Batch): void {
		const { requests } = batch.job.data;
		this.#taken += requests.length;
		if (batch.job.attemptsStarted > 1 || batch.isOfBefore) this.#takeOnceMore(batch);
		else this.#takeThose(requests, batch);
		batch.lost.addEventListener("abort", () => this.#lost(batch), { once: true });
	}

	/** What hasn't begun is somebody else's to begin, once this resolves. */
	async handBack(): Promise<void> {
		await Promise.all(this.#retakes);
		const told = this.#parts.beginnings.handBack();
		this.#leaveGone();
		await told;
	}

	/** Nobody is to wait for them any more: those that wait are dropped, those that run are told, those that come will be dropped. */
	cancel(those: readonly Cancelled[]): void {
		for (const [id, why] of those) {
			const held = this.#byId.get(id);
			if (held !== undefined) held.cancelled.abort(new Error(CANCEL_WORDS[why]));
			else this.#remember(id, why);
		}
		const gone = this.#waiting.takeOut(({ cancelled }) => cancelled.signal.aborted);
		if (gone.length === 0) return;
		for (const held of gone) void this.#dropHeld(held, "cancelled", (held.cancelled.signal.reason as Error).message);
		this.#parts.changed();
	}

	/**
	 * An invocation, which may be one of here, waits for another one.
	 * @returns what is called when it waits no longer
	 */
	waits(id: string): () => void {
		const held = this.#byId.get(id);
		this.#awaited.asked(id);
		if (held !== undefined && held.waitsFor++ === 0) this.#leavePlace(held);
		this.#pump();
		this.#parts.changed();
		let over = false;
		return () => {
			if (over) return;
			over = true;
			this.#awaited.over(id);
			// Its place may be another's by now: it goes on, and the next one waits until there are two free.
			if (held !== undefined && --held.waitsFor === 0 && this.#byId.get(id) === held) this.#takePlace(held);
		};
	}

	#takeThose(requests: readonly InvocationRequest[], batch: Batch): void {
		for (const request of requests) {
			const early = this.#early.get(request.id);
			this.#early.delete(request.id);
			if (early !== undefined) void this.#drop(request, batch, "cancelled", CANCEL_WORDS[early]);
			else this.#hold(request, batch);
		}
		this.#pump();
	}

	#takeOnceMore(batch: Batch): void {
		const retake = this.#retake(batch);
		this.#retakes.add(retake);
		void retake.finally(() => this.#retakes.delete(retake));
	}

	async #retake(batch: Batch): Promise<void> {
		const { ours, others } = await this.#parts.retake(batch);
		const begun = batch.job.data.requests.filter(({ id }) => !ours.has(id) && !others.has(id));
		// What became of it in a server that lost it its gateway may know: it is let go.
		for (const request of begun) void (batch.isOfBefore ? this.#parts.leave(batch) : this.#drop(request, batch, "worker_lost"));
		for (const _ of others) void this.#parts.leave(batch);
		const left = batch.job.data.requests.filter(({ id }) => ours.has(id));
		this.#takeThose(left, batch);
	}

	/** Nothing more of it begins here; when its lock has ended, whoever takes it finds what hadn't. */
	#lost({ job }: Batch): void {
		this.#parts.beginnings.lost(job.id as string);
		this.#leaveGone();
	}

	/** Those that wait in line for a place, and aren't this node's any more. */
	#leaveGone(): void {
		const gone = this.#waiting.takeOut(({ beginning }) => beginning.gone.aborted);
		for (const held of gone) void this.#leave(held);
		if (gone.length > 0) this.#parts.changed();
	}

	async #leave(held: Held): Promise<void> {
		this.#forget(held);
		await held.beginning.told();
		await this.#parts.leave(held.batch);
	}

	/** It may be here again by now, in another job. */
	#forget(held: Held): void {
		if (this.#byId.get(held.request.id) === held) this.#byId.delete(held.request.id);
	}

	#hold(request: InvocationRequest, batch: Batch): void {
		const cancelled = new AbortController();
		const beginning = this.#parts.beginnings.hold(batch.job.id as string, request.id, batch.token);
		beginning.gone.addEventListener("abort", () => cancelled.abort(new HandedBackError()), { once: true });
		const held = { request, batch, cancelled, beginning, waitsFor: 0, holdsPlace: false, heldMs: 0, sinceMs: 0 };
		this.#byId.set(request.id, held);
		if (isNested(request)) {
			this.#awaited.came(request.parent?.id);
			this.#begin(held);
		} else this.#waiting.push(held);
	}

	/** Runs it, unless nobody waits for it any more. */
	#begin(held: Held): void {
		const { request, turn } = held;
		if (request.expiresAtMs !== undefined && sharedNow() > request.expiresAtMs) {
			if (turn !== undefined) this.#waiting.giveBack(turn);
			void this.#dropHeld(held, "expired_in_queue");
			return;
		}
		this.#takePlace(held);
		void this.#run(held);
	}

	#takePlace(held: Held): void {
		if (isNested(held.request)) return;
		held.holdsPlace = true;
		held.sinceMs = performance.now();
		this.#running++;
	}

	#leavePlace(held: Held): void {
		if (!held.holdsPlace) return;
		held.holdsPlace = false;
		held.heldMs += performance.now() - held.sinceMs;
		this.#running--;
	}

	#remember(id: string, why: CancelReason): void {
		this.#early.set(id, why);
		if (this.#early.size <= MOST_EARLY) return;
		const [oldest] = this.#early.keys();
		if (oldest !== undefined) this.#early.delete(oldest);
	}

	#pump(): void {
		while (this.#running < this.#limit) {
			const next = this.#waiting.shift();
			if (next === undefined) return;
			next.item.turn = next.turn;
			this.#begin(next.item);
		}
	}

	async #run(held: Held): Promise<void> {
		const { request, batch, turn } = held;
		const settlement = await this.#handle(held);
		// What was refused before it began is settled here only if nobody else was given it.
		const isOurs = await held.beginning.begin();
		this.#forget(held);
		this.#leavePlace(held);
		if (turn !== undefined) this.#waiting.finish(turn, held.heldMs);
		this.#pump();
		this.#parts.changed();
		if (isOurs) await this.#settle(request, settlement, batch);
		else await this.#leave(held);
	}

	async #handle({ request, batch: { lost }, cancelled: { signal: cancelled }, beginning }: Held): Promise<Settlement> {
		const queueMs = elapsedMs(request.acceptedAtMs);
		try {
			const handler = this.#handler as DeliveryHandler;
			return await handler({ request, attempt: ATTEMPT, lane: "interactive", queueMs, lost, cancelled, begin: beginning.begin });
		} catch (error) {
			if (!(error instanceof HandedBackError))
				this.#parts.log.error({ error, invocation: request.id }, "an attempt failed on the platform's side");
			return rejectedSettlement(this.#parts.nodeId, ATTEMPT, queueMs, error);
		}
	}

	/** Ends one that never began, and nobody else was given. */
	async #dropHeld(held: Held, code: "expired_in_queue" | "cancelled", why?: string): Promise<void> {
		this.#forget(held);
		if (await held.beginning.begin()) await this.#drop(held.request, held.batch, code, why);
		else await this.#leave(held);
	}

	/** Ends an invocation that never began. */
	async #drop(
		request: InvocationRequest,
		batch: Batch,
		code: "expired_in_queue" | "worker_lost" | "cancelled",
		why: string = CANCEL_WORDS.left,
	): Promise<void> {
		const { nodeId: node } = this.#parts;
		const queueMs = elapsedMs(request.acceptedAtMs);
		const settlement =
			code === "cancelled"
				? cancelledSettlement(node, ATTEMPT, queueMs, why)
				: platformSettlement({ node, attempt: ATTEMPT, code, message: VERDICT_TEXT[code], queueMs });
		await this.#settle(request, settlement, batch);
	}

	async #settle(request: InvocationRequest, settlement: Settlement, batch: Batch): Promise<void> {
		await this.#parts.settle({ request, settlement, replyTo: batch.job.data.replyTo }, batch);
	}
}

/** Whether another invocation waits for it. */
function isNested({ depth = 0 }: InvocationRequest): boolean {
	return depth > 0;
}
