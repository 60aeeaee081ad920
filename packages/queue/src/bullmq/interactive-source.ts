import { setTimeout as wait } from "node:timers/promises";
import { type Redis, Subscription, startOf } from "@berth/redis";
import { type Job, Queue } from "bullmq";
import type { Cancelled } from "../cancellations.js";
import { InteractiveRecords, type LetGo, type RecordBudget, type SettledInvocation } from "../interactive-records.js";
import { cancelChannelOf, interactiveQueueOf, NODE_NEWS, QUEUE_PREFIX } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import type { NodeNews } from "../node-channels.js";
import type { DeliveryHandler } from "../ports.js";
import { Settler } from "../settler.js";
import { Unbegun } from "../unbegun.js";
import { Beginnings } from "./beginnings.js";
import { type InteractiveEnvelope, isOfBefore } from "./envelope.js";
import { type Batch, InHand, type Retaken } from "./in-hand.js";
import { JobFetcher } from "./job-fetcher.js";
import { SHORT_STREAM } from "./leases.js";
import { LockKeeper } from "./lock-keeper.js";
import { Watchdog } from "./watchdog.js";

const RETRY_MS = 250;
/** How often a settlement is tried that Redis refuses (it is full, or read-only). */
const SETTLE_TURNS = 6;
/** What the ids of gateways begin with, as takers of what hadn't begun; workers take it by a lock's token. */
const GATEWAY = "gw_";

export interface InteractiveSourceParts {
	/** A connection to the fast Redis for `patient` use. */
	readonly redis: Redis;
	/** One for `subscriber` use. */
	readonly subscriber: Redis;
	readonly nodeId: string;
	/** As the node is listed. */
	readonly incarnation: string;
	readonly log: QueueLogger;
	readonly budget?: RecordBudget;
}

/**
 * The interactive lane of one node. Jobs are fetched by hand (BullMQ's pattern of that name), because
 * a job carries many invocations: the next one is fetched while there is room for an invocation.
 * It doesn't own the connections.
 */
export class InteractiveSource {
	readonly #parts: InteractiveSourceParts;
	readonly #settler: Settler;
	readonly #keeper: LockKeeper;
	readonly #queue: Queue<InteractiveEnvelope>;
	readonly #fetcher: JobFetcher<InteractiveEnvelope>;
	readonly #inHand: InHand;
	readonly #unbegun: Unbegun;
	readonly #beginnings: Beginnings;
	readonly #batches = new Set<Batch>();
	readonly #wakers = new Set<() => void>();
	#watchdog: Watchdog | undefined;
	#settled = 0;
	#stale = 0;
	#stopping = false;
	#resting = false;

	constructor(parts: InteractiveSourceParts) {
		const { redis, nodeId, incarnation, log } = parts;
		this.#parts = parts;
		this.#settler = new Settler(new InteractiveRecords(redis, parts.budget), () => this.#inHand.size);
		const queue = interactiveQueueOf(nodeId);
		this.#fetcher = new JobFetcher({
			queue,
			redis,
			log,
			name: incarnation,
			room: () => this.#room(),
			take: (...taken) => this.#take(...taken),
		});
		this.#keeper = new LockKeeper((jobs, tokens, ms) => this.#fetcher.extendLocks(jobs, tokens, ms), log);
		this.#unbegun = new Unbegun(redis);
		this.#beginnings = new Beginnings(this.#unbegun, log);
		this.#inHand = new InHand({
			nodeId,
			log,
			settle: (settled, batch) => this.#settle(settled, batch),
			leave: (batch) => this.#over(batch),
			beginnings: this.#beginnings,
			retake: (batch) => this.#retake(batch),
			changed: () => this.#wake(),
		});
		this.#queue = new Queue(queue, { connection: redis, prefix: QUEUE_PREFIX, ...SHORT_STREAM });
		this.#queue.on("error", (error) => log.debug({ error }, "interactive queue"));
	}

	/** Fetches and runs until `stop`, at most `limit` invocations at a time. */
	start(handler: DeliveryHandler, limit: number): void {
		const { redis, subscriber, nodeId, log } = this.#parts;
		const onMessage = (text: string) => this.#inHand.cancel(JSON.parse(text) as Cancelled[]);
		new Subscription(subscriber, [cancelChannelOf(nodeId)], { onMessage }, log);
		this.#inHand.start(handler, limit);
		this.#fetcher.start();
		this.#watchdog = new Watchdog({
			waiting: async () => (this.#resting ? 0 : await redis.llen(this.#queue.keys["wait"] as string)),
			active: () => this.#batches.size,
			taken: () => this.#inHand.taken,
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

	/** Fetches nothing more until `resume`; one job that was on its way may still come. */
	rest(): void {
		this.#resting = true;
	}

	resume(): void {
		this.#resting = false;
		this.#wake();
	}

	/** What is in hand and hasn't begun is its gateways' again, who are told so. */
	async handBack(): Promise<void> {
		const { redis, nodeId: id, incarnation } = this.#parts;
		await this.#inHand.handBack();
		await redis.publish(NODE_NEWS, JSON.stringify({ kind: "returned", id, incarnation } satisfies NodeNews));
	}

	/** See InvocationSource.waits. */
	waits(invocation: string): () => void {
		return this.#inHand.waits(invocation);
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
		const { taken, size: inHand } = this.#inHand;
		return { taken, settled: this.#settled, stale: this.#stale, inHand, revived: this.#watchdog?.revived ?? 0 };
	}

	/** Lets go of every lock: whatever is still in hand will be taken for lost. */
	async close(): Promise<void> {
		await this.stop();
		for (const { token } of this.#batches) this.#keeper.release(token);
		this.#batches.clear();
		this.#wake();
		await this.#queue.close();
	}

	#revive(): void {
		this.#parts.log.error({ node: this.#parts.nodeId }, "the interactive worker took no job while some waited; made anew");
		this.#fetcher.revive();
	}

	async #room(): Promise<void> {
		while (!this.#stopping && (this.#resting || this.#inHand.full)) await this.#change();
	}

	#take(job: Job<InteractiveEnvelope>, token: string, askedAtMs: number): void {
		const lost = this.#keeper.hold(job.id as string, token, askedAtMs);
		const batch: Batch = { job, token, lost, isOfBefore: isOfBefore(job.data, startOf(this.#parts.redis)), left: job.data.requests.length };
		this.#batches.add(batch);
		this.#inHand.take(batch);
	}

	async #settle(settled: SettledInvocation, batch: Batch): Promise<void> {
		for (let turn = 1; !batch.lost.aborted; turn++) {
			try {
				if (await this.#settler.settle(settled)) this.#settled++;
				else this.#stale++;
				break;
			} catch (error) {
				this.#parts.log.error({ error, invocation: settled.request.id, turn }, "a settlement couldn't be written");
				if (turn === SETTLE_TURNS) break;
				await wait(turn * RETRY_MS);
			}
		}
		await this.#over(batch);
	}

	/** One of its invocations is. */
	async #over(batch: Batch): Promise<void> {
		if (--batch.left === 0) await this.#finish(batch);
	}

	/** What somebody else has by now is theirs to settle; where Redis doesn't say, nothing is. */
	async #retake({ job, token, lost }: Batch): Promise<Retaken> {
		const ids = job.data.requests.map(({ id }) => id);
		while (!lost.aborted) {
			try {
				const owners = await this.#unbegun.take(job.id as string, ids, token, "other");
				const those = (isSo: (owner: string) => boolean) => new Set(ids.filter((_, at) => owners[at] !== undefined && isSo(owners[at])));
				return { ours: those((owner) => owner === token), others: those((owner) => owner.startsWith(GATEWAY)) };
			} catch (error) {
				this.#parts.log.warn({ error, job: job.id }, "what of a job had begun before can't be asked yet");
				await wait(RETRY_MS);
			}
		}
		return { ours: new Set(), others: new Set(ids) };
	}

	async #finish(batch: Batch): Promise<void> {
		const { job, token, lost, isOfBefore } = batch;
		try {
			if (!lost.aborted) await job.moveToCompleted(undefined, token, false);
			// A gateway that doesn't listen asks what became of it when it does again, and finds it gone.
			if (!lost.aborted && isOfBefore)
				await this.#parts.redis.publish(job.data.replyTo, JSON.stringify([{ letGo: job.id as string } satisfies LetGo]));
		} catch (error) {
			this.#parts.log.warn({ error, job: job.id }, "a job couldn't be completed; its settlements stand");
		}
		this.#beginnings.over(job.id as string);
		this.#keeper.release(token);
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
