import { type BerthError, type InvocationRequest, newId, type Settlement } from "@berth/contracts";
import { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { unavailable, untilReady } from "../connections.js";
import { LaneCounter, type LaneTotals } from "../counters.js";
import { InteractiveRecords, type Reply } from "../interactive-records.js";
import { interactiveQueueOf, QUEUE_PREFIX, replyChannelOf } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import { type Pending, PendingInvocations } from "../pending.js";
import type { LaneDepth } from "../ports.js";
import { ReplyListener } from "../reply-listener.js";
import { thrownBy } from "../settlements.js";
import { depthOf, NO_DEPTH, sumOfDepths } from "./depth.js";
import type { InteractiveEnvelope } from "./envelope.js";
import { Inquiry } from "./inquiry.js";
import { SHORT_STREAM } from "./leases.js";
import { Outbox } from "./outbox.js";

/** How long a caller waits at most for the first subscription, and a doubtful add for Redis to return. */
const PATIENCE_MS = 900;
const JOB_OPTIONS = { attempts: 1, removeOnComplete: true, removeOnFail: true } as const;

export interface InteractiveQueueParts {
	/** A `gateway` connection to the fast Redis. */
	readonly redis: Redis;
	/** A `subscriber` connection to it. */
	readonly subscriber: Redis;
	readonly gatewayId: string;
	readonly log: QueueLogger;
}

interface Node {
	readonly queue: Queue<InteractiveEnvelope>;
	readonly outbox: Outbox;
}

/** The interactive lane as a gateway sees it. It owns neither connection. */
export class InteractiveQueue {
	readonly #parts: InteractiveQueueParts;
	readonly #channel: string;
	readonly #nodes = new Map<string, Node>();
	readonly #pending: PendingInvocations;
	readonly #replies: ReplyListener;
	readonly #inquiry: Inquiry;
	readonly #counter = new LaneCounter();
	readonly records: InteractiveRecords;
	#closed = false;

	constructor(parts: InteractiveQueueParts) {
		const { redis, subscriber, gatewayId, log } = parts;
		this.#parts = parts;
		this.#channel = replyChannelOf(gatewayId);
		this.records = new InteractiveRecords(redis);
		this.#pending = new PendingInvocations((overdue) => void this.#inquiry.hold(overdue, "overdue"));
		this.#inquiry = new Inquiry({
			records: this.records,
			channel: this.#channel,
			gatewayId,
			queueOf: (node) => this.#node(node).queue,
			settled: (id, settlement) => this.#finish(id, settlement),
			failed: (pending, error) => this.#fail(pending, error),
			accepted: (pending) => this.#accept(pending),
			log,
		});
		const events = { onReply: (reply: Reply) => this.#finish(reply.id, reply.settlement), onResumed: () => this.#resume() };
		this.#replies = new ReplyListener(subscriber, this.#channel, events, log);
	}

	/** See InvocationQueue.run. */
	async run(node: string, request: InvocationRequest): Promise<Settlement> {
		if (this.#closed) throw unavailable(new Error("the gateway is closing"));
		if (!this.#replies.begun) await this.#firstSubscription();
		return await new Promise<Settlement>((resolve, reject) => {
			const pending: Pending = { request, node, accepted: false, resolve, reject };
			this.#pending.add(pending);
			this.#node(node).outbox.push(pending);
		});
	}

	/** Ends the wait for everything on a node that is gone: what it never took is `unavailable`, the rest `worker_lost`. */
	async abandon(node: string): Promise<void> {
		const left = this.#pending.all().filter((pending) => pending.node === node && pending.accepted);
		await this.#inquiry.hold(left, "abandoned");
		this.#nodes.delete(node);
	}

	totals(): LaneTotals {
		return this.#counter.totals();
	}

	/** Over the nodes that this gateway has placed anything on. */
	async depth(): Promise<LaneDepth> {
		const depths = await Promise.all([...this.#nodes.values()].map(({ queue }) => depthOf(queue, this.#parts.redis)));
		return depths.reduce(sumOfDepths, NO_DEPTH);
	}

	/** Rejects what is still waited for. */
	close(): void {
		this.#closed = true;
		for (const pending of this.#pending.all()) this.#fail(pending, unavailable(new Error("the gateway is closing")));
		this.#pending.stop();
	}

	#node(id: string): Node {
		let node = this.#nodes.get(id);
		if (node === undefined) {
			const queue = this.#open(id);
			node = { queue, outbox: new Outbox((batch) => this.#send(queue, batch)) };
			this.#nodes.set(id, node);
		}
		return node;
	}

	/** The worker keeps the queue's metadata; nothing here may wait for Redis. */
	#open(node: string): Queue<InteractiveEnvelope> {
		const queue = new Queue<InteractiveEnvelope>(interactiveQueueOf(node), {
			connection: this.#parts.redis,
			prefix: QUEUE_PREFIX,
			skipMetasUpdate: true,
			skipVersionCheck: true,
			skipWaitingForReady: true,
			...SHORT_STREAM,
		});
		queue.on("error", (error) => this.#parts.log.debug({ error, node }, "interactive queue"));
		return queue;
	}

	async #send(queue: Queue<InteractiveEnvelope>, batch: Pending[]): Promise<void> {
		if (!(await untilReady(this.#parts.redis, PATIENCE_MS / 2))) {
			for (const pending of batch) this.#fail(pending, unavailable(undefined));
			return;
		}
		const jobId = newId("job");
		for (const pending of batch) pending.job = jobId;
		try {
			const envelope = { replyTo: this.#channel, requests: batch.map(({ request }) => request) };
			await queue.add("batch", envelope, { ...JOB_OPTIONS, jobId });
			for (const pending of batch) this.#accept(pending);
		} catch (error) {
			await this.#resolveDoubt(queue, jobId, batch, error);
		}
	}

	/** The add failed, perhaps after Redis had taken it: find out, or see to it that it is taken back later. */
	async #resolveDoubt(queue: Queue<InteractiveEnvelope>, jobId: string, batch: Pending[], error: unknown): Promise<void> {
		const { redis, log } = this.#parts;
		log.warn({ error, invocations: batch.length }, "a job couldn't be added for certain");
		if (await untilReady(redis, PATIENCE_MS)) return await this.#inquiry.hold(batch, "doubted", unavailable(error));
		redis.once(
			"ready",
			() => void queue.remove(jobId).catch((late: unknown) => log.warn({ error: late, jobId }, "a job couldn't be taken back")),
		);
		for (const pending of batch) this.#fail(pending, unavailable(error));
	}

	async #firstSubscription(): Promise<void> {
		let timer: NodeJS.Timeout | undefined;
		const late = new Promise<never>((_, reject) => {
			timer = setTimeout(() => reject(unavailable(undefined)), PATIENCE_MS);
		});
		await Promise.race([this.#replies.listening, late]).finally(() => clearTimeout(timer));
	}

	async #resume(): Promise<void> {
		const { redis, log } = this.#parts;
		if (this.#pending.size === 0 || !(await untilReady(redis, PATIENCE_MS))) return;
		try {
			for (const message of await this.records.takeMail(this.#channel)) this.#replies.deliver(message);
		} catch (error) {
			log.warn({ error }, "the mailbox couldn't be read; the records will be");
		}
		await this.#inquiry.hold(
			this.#pending.all().filter(({ accepted }) => accepted),
			"resumed",
		);
	}

	#accept(pending: Pending): void {
		if (pending.accepted) return;
		pending.accepted = true;
		this.#counter.accept();
	}

	#finish(id: string, settlement: Settlement): void {
		const pending = this.#pending.take(id);
		if (pending === undefined) return;
		this.#accept(pending);
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
