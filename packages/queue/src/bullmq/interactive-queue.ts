import { setTimeout as wait } from "node:timers/promises";
import { BerthError, type InvocationRequest, newId, SECOND_MS, type Settlement } from "@berth/contracts";
import {
	isRefusal,
	isUnsent,
	READY_WAIT_MS,
	type Redis,
	ServerClock,
	Subscription,
	startOf,
	TooLateError,
	unavailable,
	untilReady,
} from "@berth/redis";
import type { Queue } from "bullmq";
import { Cancellations } from "../cancellations.js";
import { LaneCounter, type LaneTotals } from "../counters.js";
import { inDoubtOf } from "../in-doubt.js";
import { InteractiveRecords, type LetGo, type Reply } from "../interactive-records.js";
import { replyChannelOf } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import type { NodeChange } from "../node-ports.js";
import { type Pending, PendingInvocations } from "../pending.js";
import type { CancelReason, LaneDepth } from "../ports.js";
import { Retractions } from "../retractions.js";
import { thrownBy } from "../settlements.js";
import { Unbegun } from "../unbegun.js";
import { addInTime } from "./adds-in-time.js";
import { depthOf, NO_DEPTH, sumOfDepths } from "./depth.js";
import type { InteractiveEnvelope } from "./envelope.js";
import { Inquiry, LeftBehindError, undecided } from "./inquiry.js";
import { NodeQueues } from "./node-queues.js";

/** How long a doubtful add waits at most for Redis to return. */
const PATIENCE_MS = 900;
/** How long a gateway that stops tries to take back what hasn't begun, milliseconds: whoever waits is cut off half a second after it has given up. */
const TAKE_BACK_MS = 300;
const JOB_OPTIONS = { attempts: 1, removeOnComplete: true, removeOnFail: true } as const;
const WHAT = "invoking";
/** Whoever it is may ask another gateway, or this one when it is back. */
const again = { extra: { retryAfterMs: SECOND_MS } };
const stopping = () => new BerthError("unavailable", "the gateway stops; nothing of it was run", again);
/** Its job is a worker's, or Redis doesn't say: the cancellation reaches who is there, and the next worker may begin what waits for one that isn't. */
const cutOff = () =>
	new BerthError(
		"worker_lost",
		"the gateway stops, and this took longer than it waits; it is cancelled, and may have begun or begin",
		again,
	);
/** What wasn't in the queue yet costs nobody anything. */
const notAccepted = () => new BerthError("cancelled", "nobody waits for it any more; it wasn't accepted");

export interface InteractiveQueueParts {
	/** A connection to the fast Redis for `command` use. */
	readonly redis: Redis;
	/** One for `subscriber` use. */
	readonly subscriber: Redis;
	readonly gatewayId: string;
	readonly log: QueueLogger;
}

/** The interactive lane as a gateway sees it. It owns neither connection. */
export class InteractiveQueue {
	readonly #parts: InteractiveQueueParts;
	readonly #channel: string;
	readonly #nodes: NodeQueues;
	readonly #pending: PendingInvocations;
	readonly #replies: Subscription;
	readonly #inquiry: Inquiry;
	readonly #cancellations: Cancellations;
	readonly #retractions: Retractions;
	readonly #counter = new LaneCounter();
	readonly records: InteractiveRecords;
	readonly #resumes = () => void this.#resume();
	#closed = false;
	#givenUp: Promise<void> | undefined;

	constructor(parts: InteractiveQueueParts) {
		const { redis, subscriber, gatewayId, log } = parts;
		this.#parts = parts;
		this.#channel = replyChannelOf(gatewayId);
		this.records = new InteractiveRecords(redis);
		addInTime(redis, new ServerClock(redis));
		this.#pending = new PendingInvocations((overdue) => void this.#inquiry.hold(overdue, "overdue"));
		this.#nodes = new NodeQueues(
			redis,
			log,
			(queue, batch) => this.#send(queue, batch),
			() => this.#pending.size,
		);
		this.#cancellations = new Cancellations(redis, log);
		this.#retractions = new Retractions(log);
		this.#inquiry = new Inquiry({
			records: this.records,
			unbegun: new Unbegun(redis),
			channel: this.#channel,
			gatewayId,
			queueOf: (node) => this.#nodes.of(node).queue,
			start: () => startOf(redis),
			isOpen: (pending) => this.#pending.has(pending),
			settled: (id, settlement) => this.#finish(id, settlement),
			failed: (pending, error) => this.#fail(pending, error),
			stopped: ({ node, request }) => this.#cancellations.send(node, request.id, "stopped"),
			accepted: (pending) => this.#accept(pending),
			log,
		});
		const events = { onMessage: (text: string) => this.#deliver(text), onResumed: () => this.#resume() };
		this.#replies = new Subscription(subscriber, [this.#channel], events, log);
	}

	/** Resolves when it hears replies. From then on nothing is lost: mail is kept while nobody listens. */
	get listening(): Promise<void> {
		return this.#replies.listening;
	}

	/** See InvocationQueue.run. */
	async run(node: string, request: InvocationRequest): Promise<Settlement> {
		if (this.#closed) throw stopping();
		return await new Promise<Settlement>((resolve, reject) => {
			const pending: Pending = { request, node, accepted: false, resolve, reject };
			this.#pending.add(pending);
			this.#nodes.of(node).outbox.push(pending);
		});
	}

	/** See InvocationQueue.cancel. */
	cancel(id: string, why: CancelReason, project?: string): boolean {
		const pending = this.#pending.get(id);
		if (pending === undefined || (project ?? pending.request.project) !== pending.request.project) return false;
		if (this.#nodes.of(pending.node).outbox.remove(pending)) this.#fail(pending, notAccepted());
		else void this.#cancellations.send(pending.node, id, why);
		return true;
	}

	/** See GatewayQueue.lookAfter. */
	async lookAfter(node: string, change: NodeChange): Promise<void> {
		const there = this.#pending.all().filter((pending) => pending.node === node);
		// What a node hands back it drains, or is gone from, before or after: that decides also what waits.
		for (const pending of there) {
			if (!pending.accepted && (change.reason !== "returned" || pending.overtakenBy === undefined)) pending.overtakenBy = change;
		}
		await this.#inquiry.lookAfter(
			there.filter(({ accepted }) => accepted),
			change,
		);
	}

	totals(): LaneTotals {
		return this.#counter.totals(this.#pending.all().filter(({ accepted }) => accepted).length);
	}

	/** Over the nodes that this gateway has placed anything on. */
	async depth(): Promise<LaneDepth> {
		const depths = await Promise.all(this.#nodes.all().map(({ queue }) => depthOf(queue, this.#parts.redis)));
		return depths.reduce(sumOfDepths, NO_DEPTH);
	}

	/** See InvocationQueue.giveUp. */
	giveUp(): Promise<void> {
		this.#givenUp ??= this.#giveUp();
		return this.#givenUp;
	}

	async #giveUp(): Promise<void> {
		this.#closed = true;
		const sent = this.#pending.all().filter((pending) => !this.#nodes.of(pending.node).outbox.remove(pending));
		for (const pending of this.#pending.all()) if (!sent.includes(pending)) this.#fail(pending, stopping());
		if (sent.length > 0) await Promise.race([this.#inquiry.hold(sent, "stopping", stopping()), wait(TAKE_BACK_MS)]);
		this.#cutOff();
	}

	#cutOff(): void {
		for (const pending of this.#pending.all()) {
			// What is in no job yet isn't sent any more.
			if (pending.job === undefined) {
				this.#fail(pending, stopping());
				continue;
			}
			void this.#cancellations.send(pending.node, pending.request.id, "stopped");
			this.#fail(pending, cutOff());
		}
	}

	close(): void {
		this.#closed = true;
		this.#cutOff();
		this.#parts.redis.off("ready", this.#resumes);
		this.#pending.stop();
		this.#retractions.stop();
	}

	async #send(queue: Queue<InteractiveEnvelope>, gathered: Pending[]): Promise<void> {
		const { redis } = this.#parts;
		if (redis.status !== "ready" && !(await untilReady(redis, READY_WAIT_MS))) {
			for (const pending of gathered) this.#fail(pending, unavailable(redis, WHAT));
			return;
		}
		// What was given up meanwhile isn't sent.
		const batch = gathered.filter((pending) => this.#pending.has(pending));
		if (batch.length === 0) return;
		const jobId = newId("job");
		const sentTo = startOf(redis);
		for (const pending of batch) Object.assign(pending, { job: jobId, sentTo });
		try {
			const requests = batch.map(({ request }) => request);
			const envelope = { replyTo: this.#channel, requests, ...(sentTo === undefined ? {} : { sentTo }) };
			// Others wait for those, and hold what everybody behind them wants.
			const lifo = batch.some(({ request }) => (request.depth ?? 0) > 0);
			await queue.add("batch", envelope, { ...JOB_OPTIONS, jobId, ...(lifo ? { lifo } : {}) });
			for (const pending of batch) this.#accept(pending);
		} catch (error) {
			if (!(error instanceof TooLateError || isRefusal(error) || isUnsent(error))) await this.#resolveDoubt(queue, jobId, batch, error);
			else for (const pending of batch) this.#fail(pending, this.#notTaken(error));
		}
	}

	/** The add failed, perhaps after Redis had taken it: find out, or see to it that it is taken back later. */
	async #resolveDoubt(queue: Queue<InteractiveEnvelope>, jobId: string, batch: Pending[], error: unknown): Promise<void> {
		const { redis, log } = this.#parts;
		log.warn({ error, invocations: batch.length }, "a job couldn't be added for certain");
		const isCut = redis.status !== "ready";
		const revoked = this.#notTaken(error);
		const known = (await untilReady(redis, PATIENCE_MS)) && (await this.#inquiry.hold(batch, "doubted", revoked));
		if (known) return;
		this.#retractions.add(jobId, () => queue.remove(jobId));
		// One that says nothing has most likely done nothing. One that is gone may have been asked, and have given it to a worker, just before.
		for (const pending of batch) this.#fail(pending, isCut ? undecided() : inDoubtOf(pending.request, unavailable(redis, WHAT, error)));
	}

	/** What those are told whose job isn't in the queue: a Redis that refuses will refuse it again, one that was away, or that another one replaces, takes it now. */
	#notTaken(error: unknown): BerthError {
		const { redis } = this.#parts;
		const refused = unavailable(redis, WHAT, error);
		return redis.status === "ready" ? refused : new LeftBehindError(refused.message);
	}

	#deliver(text: string): void {
		for (const reply of JSON.parse(text) as (Reply | LetGo)[]) {
			if ("letGo" in reply) void this.#inquiry.lookAfterLetGo(this.#pending.all().filter(({ job }) => job === reply.letGo));
			else this.#finish(reply.id, reply.settlement);
		}
	}

	async #resume(): Promise<void> {
		const { redis, log } = this.#parts;
		if (this.#pending.size === 0) return;
		if (!(await untilReady(redis, PATIENCE_MS))) {
			// The other connection was made anew sooner than this one: it is asked when this one is there.
			redis.off("ready", this.#resumes).once("ready", this.#resumes);
			return;
		}
		try {
			for (const message of await this.records.takeMail(this.#channel)) this.#deliver(message);
		} catch (error) {
			log.warn({ error }, "the mailbox couldn't be read; the records will be");
		}
		await this.#inquiry.hold(
			this.#pending.all().filter(({ accepted }) => accepted),
			"resumed",
		);
	}

	#accept(pending: Pending): void {
		if (pending.accepted || !this.#pending.has(pending)) return;
		pending.accepted = true;
		this.#counter.accept();
		if (pending.overtakenBy !== undefined) void this.#inquiry.lookAfter([pending], pending.overtakenBy);
	}

	#finish(id: string, settlement: Settlement): void {
		const pending = this.#pending.get(id);
		if (pending === undefined) return;
		this.#accept(pending);
		this.#pending.take(id);
		const thrown = thrownBy(settlement);
		if (thrown === undefined) {
			this.#counter.settle();
			pending.resolve(settlement);
		} else {
			this.#counter.die();
			pending.reject(thrown);
		}
	}

	#fail(pending: Pending, error: BerthError): void {
		if (!this.#pending.has(pending)) return;
		this.#pending.take(pending.request.id);
		if (pending.accepted) this.#counter.die();
		pending.reject(error);
	}
}
