import type { AttemptRecord } from "@berth/contracts";
import { type Redis, Subscription } from "@berth/redis";
import { BackgroundCancels } from "../background-cancels.js";
import { BackgroundRecords, type Retention } from "../background-records.js";
import { DurableMemory } from "../durable-memory.js";
import { functionKeyOf, SLOT_NEWS } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import { MemoryWatch } from "../memory-watch.js";
import type { DeliveryHandler, SettlementKeeper } from "../ports.js";
import type { ProjectSlots } from "../project-slots.js";
import { BackgroundAttempts, type CrashLoopOf, type LackOf } from "./background-attempts.js";
import { CpuPace } from "./cpu-pace.js";
import { FairRing } from "./fair-ring.js";
import { FunctionQueues } from "./function-queues.js";
import { LaneDispatcher } from "./lane-dispatcher.js";
import { LaneIndex } from "./lane-index.js";
import { FunctionLimits, type LimitsOf } from "./lane-limits.js";
import type { Taken } from "./lane-takes.js";
import { LockKeeper } from "./lock-keeper.js";
import { takeByItsClock } from "./takes-by-clock.js";
import { Watchdog } from "./watchdog.js";

/** So long a function has been due that nobody looks at; and when who takes nothing of such functions is looked at, and taken for stuck, milliseconds. */
const WATCH = { overdueMs: 3000, lookMs: 2000, stuckMs: 6000 };

export interface BackgroundSourceParts {
	/** A connection for `patient` use to the durable Redis, and one for `subscriber` use. */
	readonly redis: Redis;
	readonly subscriber: Redis;
	readonly nodeId: string;
	readonly limitsOf: LimitsOf;
	readonly lackOf: LackOf;
	readonly crashLoopOf: CrashLoopOf;
	/** What projects have in flight at once, and how many they may have. */
	readonly slots: ProjectSlots;
	/** A connection for `subscriber` use to the fast Redis. */
	readonly slotNews: Redis;
	readonly projectConcurrency: (project: string) => number | undefined;
	/** Of the machine, where background work isn't to take more than it has. */
	readonly cores?: number;
	/** What its runs may hold of the node's memory together. Default: no bound. */
	readonly memoryMiB?: number;
	readonly log: QueueLogger;
	readonly retention?: Retention;
	/** When it is taken for stuck. */
	readonly watch?: typeof WATCH;
}

/** The background lane as a worker sees it. It doesn't own the connections. */
export class BackgroundSource {
	readonly #parts: BackgroundSourceParts;
	readonly #records: BackgroundRecords;
	readonly #index: LaneIndex;
	readonly #queues: FunctionQueues;
	readonly #limits: FunctionLimits;
	readonly #keeper: LockKeeper;
	readonly #cancels: BackgroundCancels;
	/** The function of each lock that is held. */
	readonly #functions = new Map<string, string>();
	#dispatcher: LaneDispatcher | undefined;
	#attempts: BackgroundAttempts | undefined;
	#watchdog: Watchdog | undefined;
	#memory: MemoryWatch | undefined;
	#pace: CpuPace | undefined;
	#taken = 0;
	#resting = false;
	#onIdle: (() => void)[] = [];

	constructor(parts: BackgroundSourceParts) {
		this.#parts = parts;
		this.#records = new BackgroundRecords(parts.redis, parts.retention);
		this.#cancels = new BackgroundCancels(parts.subscriber, this.#records, parts.log);
		this.#index = new LaneIndex(parts.redis);
		takeByItsClock(parts.redis);
		this.#queues = new FunctionQueues(parts.redis, parts.log);
		this.#limits = new FunctionLimits({ ...parts, queues: this.#queues });
		this.#keeper = new LockKeeper((jobs, tokens, ms) => this.#extend(jobs, tokens, ms), parts.log);
	}

	/** Takes jobs until `stop`, at most `limit` at a time; where it rests, from `resume` on. */
	start(handler: DeliveryHandler, limit: number, settlements?: SettlementKeeper): void {
		const { redis, nodeId, log } = this.#parts;
		const memory = new MemoryWatch(new DurableMemory(redis), log);
		this.#memory = memory;
		const [records, cancels, index, queues] = [this.#records, this.#cancels, this.#index, this.#queues];
		const expect = (dueMs: number) => this.#dispatcher?.expect(dueMs);
		const ring = new FairRing(limit, this.#parts.memoryMiB);
		const run: DeliveryHandler = async (delivery) => {
			const settlement = await handler(delivery);
			this.#measured(ring, functionKeyOf(delivery.request), settlement.attempt);
			return settlement;
		};
		const { lackOf, crashLoopOf } = this.#parts;
		this.#attempts = new BackgroundAttempts({
			redis,
			records,
			cancels,
			queues,
			index,
			nodeId,
			log,
			handler: run,
			lackOf,
			crashLoopOf,
			settlements,
			memory,
			expect,
		});
		const take = (taken: Taken, key: string) => this.#take(taken, key);
		this.#dispatcher = new LaneDispatcher(
			{ ...this.#parts, queues, index, limits: this.#limits, admit: (key) => this.#admit(key), take },
			ring,
		);
		this.#dispatcher.start(this.#resting);
		new Subscription(this.#parts.slotNews, [SLOT_NEWS], { onMessage: (project) => this.#dispatcher?.freed(project) }, log);
		if (this.#parts.cores !== undefined) this.#pace = new CpuPace(limit, this.#parts.cores, (pace) => this.#dispatcher?.paceAt(pace));
		const { watch = WATCH } = this.#parts;
		const watched = { active: () => this.#functions.size, taken: () => this.#taken, revive: () => this.#revive() };
		this.#watchdog = new Watchdog({ ...watched, waiting: () => this.#leftWaiting(watch.overdueMs) }, watch);
	}

	/** Takes nothing more; what is in hand goes on. */
	async stop(): Promise<void> {
		this.#watchdog?.stop();
		this.#pace?.stop();
		await this.#dispatcher?.stop();
	}

	/** Takes nothing more until `resume`; what is in hand and hasn't begun goes back to its queue. */
	async rest(): Promise<void> {
		this.#resting = true;
		await this.#dispatcher?.rest();
		this.handBack();
	}

	resume(): void {
		this.#resting = false;
		this.#attempts?.takeAgain();
		this.#dispatcher?.resume();
	}

	/** What is in hand and hasn't begun goes back to its queue. */
	handBack(): void {
		this.#attempts?.handBack();
	}

	/** Resolves when nothing is in hand. */
	async idle(): Promise<void> {
		while (this.#functions.size > 0) await new Promise<void>((resolve) => this.#onIdle.push(resolve));
	}

	/** The limits of a function, `project/name`, may be others now; with undefined those of all. */
	changed(name: string | undefined): void {
		void this.#limits.changed(name);
	}

	/** As `BackgroundRecords.hasAny`. */
	hasAny(version: Parameters<BackgroundRecords["hasAny"]>[0]): Promise<boolean> {
		return this.#records.hasAny(version);
	}

	get totals(): { readonly taken: number; readonly inHand: number; readonly stale: number; readonly revived: number } {
		const revived = this.#watchdog?.revived ?? 0;
		return { taken: this.#taken, inHand: this.#functions.size, stale: this.#attempts?.stale ?? 0, revived };
	}

	/** What is still in hand is taken up by another worker when its lock has ended. */
	async close(): Promise<void> {
		await this.stop();
		await this.#parts.slots.close();
		this.#memory?.stop();
		for (const token of this.#functions.keys()) this.#keeper.release(token);
	}

	#admit(key: string): (() => Promise<(() => void) | undefined>) | undefined {
		const [project = ""] = key.split("/");
		const limit = this.#parts.projectConcurrency(project);
		if (limit === undefined) return undefined;
		return () => this.#parts.slots.take(project, limit, "background");
	}

	/** Functions that nobody looks at. Who waits for its own project, or for another node, isn't among them, however many of them there are. */
	async #leftWaiting(overdueMs: number): Promise<number> {
		const overdue = this.#resting || this.#functions.size > 0 ? [] : await this.#index.overdue(overdueMs);
		return overdue.filter((key) => this.#dispatcher?.standsBack(key) === false).length;
	}

	#revive(): void {
		this.#parts.log.error({ node: this.#parts.nodeId }, "the background dispatcher took no job while some waited; begun anew");
		this.#dispatcher?.revive();
	}

	/** What an attempt computed tells what its function's next ones take of the pace. */
	#measured(ring: FairRing, key: string, { usage, phases: { runMs } }: AttemptRecord): void {
		if (usage === undefined || this.#pace === undefined || runMs <= 0) return;
		ring.computed(key, this.#pace.wanted(usage.cpuMs / runMs));
	}

	async #take({ job, token, askedAtMs }: Taken, key: string): Promise<void> {
		const lost = this.#keeper.hold(job.id as string, token, askedAtMs);
		this.#functions.set(token, key);
		this.#taken++;
		try {
			await this.#attempts?.run({ job, key, token, lost });
		} finally {
			this.#keeper.release(token);
			this.#functions.delete(token);
			if (this.#functions.size === 0) for (const resolve of this.#onIdle.splice(0)) resolve();
		}
	}

	/** BullMQ extends locks a queue at a time. */
	async #extend(jobs: readonly string[], tokens: readonly string[], durationMs: number): Promise<string[]> {
		const byFunction = new Map<string, { jobs: string[]; tokens: string[] }>();
		for (const [at, token] of tokens.entries()) {
			const key = this.#functions.get(token);
			if (key === undefined) continue;
			const group = byFunction.get(key) ?? { jobs: [], tokens: [] };
			group.jobs.push(jobs[at] as string);
			group.tokens.push(token);
			byFunction.set(key, group);
		}
		const refused = [...byFunction].map(([key, group]) =>
			this.#queues.of(key).getBackend().extendLocks(group.jobs, group.tokens, durationMs),
		);
		return (await Promise.all(refused)).flat();
	}
}
