import type { Backlog, BerthError, InvocationRecord, InvocationRequest, Settlement } from "@berth/contracts";
import { closeRedis, guarded, type Redis } from "@berth/redis";
import type { Page, Wanted } from "./background-lists.js";
import type { BackgroundNews } from "./background-news.js";
import { DEFAULT_RETENTION, type KeptRequest, type Retention } from "./background-records.js";
import type { BackgroundQueue } from "./bullmq/background-queue.js";
import type { Builds } from "./bullmq/builds.js";
import type { InteractiveQueue } from "./bullmq/interactive-queue.js";
import { type LaneBacklogs, readBacklogs } from "./bullmq/lane-backlogs.js";
import type { LaneTotals } from "./counters.js";
import { DeadLetters } from "./dead-letters.js";
import type { DurableMemory, MemoryFigures } from "./durable-memory.js";
import type { GatewayCancels } from "./gateway-cancels.js";
import { functionKeyOf, TRIAL } from "./keys.js";
import { type HeldBody, LeftBodies } from "./left-bodies.js";
import type { NodeChange } from "./node-ports.js";
import type { NodeReaper } from "./node-reaper.js";
import type { FunctionName, HeldUp, InvocationQueue, QueueDepth } from "./ports.js";
import type { QueuedRoom } from "./queued-room.js";

const ACCEPTING = "accepting an invocation";
/** How long an answer about the fast Redis is good for, milliseconds. */
const TRIED_MS = 1000;

/** What an open InvocationQueue does beyond its port. */
export interface GatewayQueue extends InvocationQueue {
	/**
	 * Looks after what is on a node that changed. Of one that is gone or drains, what its worker never took is rejected
	 * as `unavailable` (it may be placed elsewhere); what an incarnation had taken that is gone, as `worker_lost`.
	 */
	lookAfter(node: string, change: NodeChange): Promise<void>;
	/** Background: before a body is read. @throws BerthError `queue_full` when no more of the function, or its project, may be queued; `storage_full` when nothing more may; `unavailable` */
	requireRoom(owner: Pick<InvocationRequest, "project" | "function">): Promise<void>;
	/** Background: what counts among a project's queued ones, as of a second ago at most. @throws BerthError `unavailable` */
	queuedOf(project: string): Promise<number>;
	/** Why the durable Redis is to take nothing new, `storage_full`; undefined: so many bytes are about to be written there. @throws BerthError `unavailable` */
	memoryRefusal(bytes: number): Promise<BerthError | undefined>;
	/** Whether the fast Redis takes writes, asked once a second at most. @throws BerthError `unavailable` that says why not */
	tryFast(): Promise<void>;
	/** Interactive: of this process, since its start. */
	interactiveTotals(): LaneTotals;
	/** Background: the functions that wait longest, so many at most, and all others together. @throws BerthError `unavailable` */
	backlogs(most: number): Promise<LaneBacklogs>;
	/** What the durable Redis holds. @throws BerthError `unavailable` */
	durableMemory(): Promise<MemoryFigures>;
	/** Background: of the whole lane, from the durable Redis. @throws BerthError `unavailable` */
	backgroundTotals(): Promise<LaneTotals>;
}

export interface RedisInvocationQueueParts {
	readonly interactive: InteractiveQueue;
	readonly reaper: NodeReaper;
	readonly cancels: GatewayCancels;
	readonly background: BackgroundQueue;
	readonly news: BackgroundNews;
	readonly room: QueuedRoom;
	readonly memory: DurableMemory;
	readonly retention?: Retention | undefined;
	readonly builds: Builds;
	/** The connections for `command` use. */
	readonly fast: Redis;
	readonly durable: Redis;
	/** All connections, to be closed with it; and what ends what is done on them every few seconds. */
	readonly owned: readonly Redis[];
	readonly release: () => void;
}

/** Both lanes behind the gateway's port. */
export class RedisInvocationQueue implements GatewayQueue {
	readonly #parts: RedisInvocationQueueParts;
	readonly deadLetters: DeadLetters;
	#triedAtMs = Number.NEGATIVE_INFINITY;
	#tried: Promise<void> = Promise.resolve();

	constructor(parts: RedisInvocationQueueParts) {
		this.#parts = parts;
		this.deadLetters = new DeadLetters(parts.durable, parts.retention);
	}

	run(node: string, request: InvocationRequest): Promise<Settlement> {
		return this.#parts.interactive.run(node, request);
	}

	cancel(...of: Parameters<InteractiveQueue["cancel"]>): boolean {
		return this.#parts.interactive.cancel(...of);
	}

	giveUp(): Promise<void> {
		return this.#parts.interactive.giveUp();
	}

	cancelAnywhere(id: string, project: string): Promise<boolean> {
		return this.#parts.cancels.ask(id, project);
	}

	requireRoom(owner: Pick<InvocationRequest, "project" | "function">): Promise<void> {
		const { durable, room } = this.#parts;
		return guarded(durable, ACCEPTING, () => room.require(owner));
	}

	queuedOf(project: string): Promise<number> {
		const { durable, room } = this.#parts;
		return guarded(durable, "counting what is queued", () => room.queuedOf(project));
	}

	memoryRefusal(bytes: number): Promise<BerthError | undefined> {
		const { durable, room } = this.#parts;
		return guarded(durable, "measuring the durable Redis", () => room.memoryRefusal(bytes));
	}

	async enqueue(request: InvocationRequest, inDoubt?: "take back" | "leave", onUnneeded?: () => Promise<unknown>): Promise<void> {
		const { durable, room, background } = this.#parts;
		try {
			await guarded(durable, ACCEPTING, () => room.take(request));
		} catch (error) {
			await onUnneeded?.();
			throw error;
		}
		await background.enqueue(request, inDoubt, onUnneeded);
	}

	pause(of: FunctionName): Promise<Backlog> {
		return guarded(this.#parts.durable, "pausing a function", () => this.#parts.background.pause(of));
	}

	resume(of: FunctionName): Promise<Backlog> {
		return guarded(this.#parts.durable, "resuming a function", () => this.#parts.background.resume(of));
	}

	async forget(of: FunctionName): Promise<void> {
		await this.#durably("forgetting a function", ({ gone }) => gone.forget(functionKeyOf(of)));
	}

	forgetDeleted(): Promise<number> {
		return this.#durably("forgetting deleted functions", ({ gone }) => gone.sweep());
	}

	backlog(of: FunctionName): Promise<Backlog> {
		return guarded(this.#parts.durable, "measuring a function's queue", () => this.#parts.background.backlog(of));
	}

	heldUp(of: FunctionName): Promise<HeldUp> {
		return guarded(this.#parts.durable, "reading what bounds a function", () => this.#parts.background.heldUp(of));
	}

	paused(project: string): Promise<ReadonlySet<string>> {
		return guarded(this.#parts.durable, "reading what is paused", () => this.#parts.background.paused(project));
	}

	/** Asks both Redis: an id doesn't say its lane. One of them being away matters only if the other has no record. */
	async record(id: string): Promise<InvocationRecord | undefined> {
		const { interactive, background, fast, durable } = this.#parts;
		const [inFast, inDurable] = await Promise.allSettled([
			guarded(fast, "reading a record", () => interactive.records.read([id])),
			guarded(durable, "reading a record", () => background.records.read(id)),
		]);
		const found =
			(inDurable.status === "fulfilled" ? inDurable.value : undefined) ?? (inFast.status === "fulfilled" ? inFast.value[0] : undefined);
		if (found !== undefined) return found;
		if (inFast.status === "rejected") throw inFast.reason;
		if (inDurable.status === "rejected") throw inDurable.reason;
		return undefined;
	}

	follow(id: string, onNews: () => void): () => void {
		return this.#parts.news.follow(id, onNews);
	}

	list(wanted: Wanted, limit: number): Promise<Page> {
		return this.#durably("listing invocations", ({ lists }) => lists.page(wanted, limit));
	}

	cancelBackground(...of: Parameters<BackgroundQueue["cancel"]>): ReturnType<BackgroundQueue["cancel"]> {
		return this.#durably("cancelling an invocation", (background) => background.cancel(...of));
	}

	keptRequest(id: string): Promise<KeptRequest | undefined> {
		return this.#durably("reading a request", ({ records }) => records.request(id));
	}

	keepRequest(request: InvocationRequest): Promise<void> {
		return this.#durably("keeping a request", ({ records }) => records.keep(request));
	}

	async *leftBodies(held: () => Promise<readonly HeldBody[]>): AsyncGenerator<readonly HeldBody[], void> {
		const left = new LeftBodies(this.#parts.durable);
		if (await left.claim()) yield* left.among(await held());
	}

	sweepLists(): Promise<number> {
		const { recordsMs } = this.#parts.retention ?? DEFAULT_RETENTION;
		return this.#durably("sweeping lists", ({ lists }) => lists.sweep(recordsMs));
	}

	#durably<Result>(what: string, act: (background: BackgroundQueue) => Promise<Result>): Promise<Result> {
		const { background, durable } = this.#parts;
		return guarded(durable, what, () => act(background));
	}

	async depth(): Promise<QueueDepth> {
		const { interactive, background, builds, fast, durable } = this.#parts;
		const [ofInteractive, ofBackground, ofBuilds] = await Promise.all([
			guarded(fast, "measuring the queues", () => interactive.depth()),
			guarded(durable, "measuring the queues", () => background.depth()),
			guarded(durable, "measuring the queues", () => builds.depth()),
		]);
		return { interactive: ofInteractive, background: ofBackground, builds: ofBuilds };
	}

	/** Anybody may ask for the gateway's readiness, so an answer is good for a second, while the connection is. */
	tryFast(): Promise<void> {
		const { fast } = this.#parts;
		if (fast.status !== "ready" || performance.now() - this.#triedAtMs > TRIED_MS) {
			this.#triedAtMs = performance.now();
			this.#tried = guarded(fast, "writing to the fast Redis", async () => void (await fast.set(TRIAL, "", "PX", TRIED_MS)));
			// Whoever asks within the second may be nobody.
			this.#tried.catch(() => undefined);
		}
		return this.#tried;
	}

	backlogs(most: number): Promise<LaneBacklogs> {
		const { durable } = this.#parts;
		return guarded(durable, "measuring the queues", () => readBacklogs(durable, most));
	}

	durableMemory(): Promise<MemoryFigures> {
		return this.#parts.memory.figures();
	}

	lookAfter(node: string, change: NodeChange): Promise<void> {
		return this.#parts.interactive.lookAfter(node, change);
	}

	interactiveTotals(): LaneTotals {
		return this.#parts.interactive.totals();
	}

	async backgroundTotals(): Promise<LaneTotals> {
		return await guarded(this.#parts.durable, "counting invocations", () => this.#parts.background.totals());
	}

	async close(): Promise<void> {
		this.#parts.release();
		await this.#parts.reaper.stop();
		this.#parts.interactive.close();
		this.#parts.background.close();
		await Promise.all(this.#parts.owned.map(closeRedis));
	}
}
