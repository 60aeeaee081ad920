import { setTimeout as wait } from "node:timers/promises";
import { type Redis, Subscription } from "@berth/redis";
import { LANE } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import type { FairRing, Turn } from "./fair-ring.js";
import { FullProjects } from "./full-projects.js";
import type { FunctionQueues } from "./function-queues.js";
import type { LaneIndex } from "./lane-index.js";
import type { FunctionLimits } from "./lane-limits.js";
import { LaneRounds } from "./lane-rounds.js";
import { LaneTakes, type Taken } from "./lane-takes.js";
import { PassedBy } from "./passed-by.js";

/** How long a queue rests that said it had jobs and then gave none, milliseconds. */
const REST_MS = 20;

export interface LaneDispatcherParts {
	/** A connection for `patient` use to the durable Redis, and one for `subscriber` use. */
	readonly redis: Redis;
	readonly subscriber: Redis;
	readonly queues: FunctionQueues;
	readonly index: LaneIndex;
	readonly limits: FunctionLimits;
	readonly log: QueueLogger;
	/** Before a job of a function is fetched, unless its project has no bound: asks for what is called when it is over; undefined when it has all in flight that it may. */
	readonly admit: (key: string) => (() => Promise<(() => void) | undefined>) | undefined;
	/** Runs a job; its slot is free again when that resolves. */
	readonly take: (taken: Taken, key: string) => Promise<void>;
}

/**
 * Fetches the jobs of all functions by hand, in turns: BullMQ's pattern of that name, without a connection or a timer
 * per function. Which of them have work is in the index; news only make it quicker.
 */
export class LaneDispatcher {
	readonly #parts: LaneDispatcherParts;
	readonly #ring: FairRing;
	readonly #takes: LaneTakes;
	/** Functions that are being looked at, and whether there was news of them meanwhile. */
	readonly #looks = new Map<string, boolean>();
	readonly #full: FullProjects;
	readonly #passedBy: PassedBy;
	readonly #fetches = new Set<Promise<void>>();
	readonly #rounds: LaneRounds;
	#stopping = false;

	/** @param ring whose turn it is */
	constructor(parts: LaneDispatcherParts, ring: FairRing) {
		this.#parts = parts;
		this.#ring = ring;
		const resume = (project: string) => {
			this.#ring.resume(project);
			this.#pump();
		};
		this.#takes = new LaneTakes(parts);
		this.#rounds = new LaneRounds({ ...parts, due: (key) => this.#news(key), freed: (key) => this.#takes.announce(key) });
		this.#passedBy = new PassedBy({ ...parts, end: (key) => this.#endOne(key) });
		this.#full = new FullProjects({ rest: (project) => this.#ring.rest(project), resume });
	}

	/** @param isResting whether it fetches nothing until `resume` */
	start(isResting = false): void {
		new Subscription(this.#parts.subscriber, [LANE.news], { onMessage: (text) => this.#heard(text) }, this.#parts.log);
		this.#stopping = isResting;
		if (!isResting) this.#rounds.begin();
	}

	/** Fetches nothing more; what was on its way is put back. */
	async stop(): Promise<void> {
		this.#stopping = true;
		this.#rounds.end();
		this.#full.stop();
		await Promise.all([this.#takes.stop(), ...this.#fetches]);
	}

	/** Fetches nothing more until `resume`; what was on its way is taken. */
	async rest(): Promise<void> {
		this.#stopping = true;
		this.#rounds.end();
		await Promise.all(this.#fetches);
	}

	resume(): void {
		this.#stopping = false;
		this.#looks.clear();
		this.#rounds.begin();
		this.#pump();
	}

	/** One of a project's runs has ended, on whichever node. */
	freed(project: string): void {
		this.#full.freed(project);
	}

	/** Whether what a function has is left to wait: for runs of its own project, or for another node. */
	standsBack(key: string): boolean {
		return this.#full.isFull(projectOf(key)) || this.#parts.limits.known(key)?.isElsewhere === true;
	}

	/** How many runs that compute are worth while at a time. */
	paceAt(pace: number): void {
		this.#ring.pace = pace;
		this.#pump();
	}

	/** Something will be due then, perhaps before what was thought to be next. */
	expect(dueMs: number): void {
		if (!this.#stopping) this.#rounds.expect(dueMs);
	}

	/** Begins anew. What is in hand goes on. */
	revive(): void {
		this.#rounds.end();
		this.#looks.clear();
		if (!this.#stopping) this.#rounds.begin();
	}

	/** `key` of a function with something to run, or `ms key` when it will be due. */
	#heard(text: string): void {
		const space = text.indexOf(" ");
		if (space < 0) this.#news(text);
		else this.expect(Number(text.slice(0, space)));
	}

	#news(key: string): void {
		if (this.#stopping) return;
		if (this.#looks.has(key)) this.#looks.set(key, true);
		else if (this.#ring.waiting(key) > 0) return;
		else if (this.#mustLook(key)) void this.#look(key);
		else this.#offer(key, 1);
	}

	/** Nothing is taken before it is known what bounds the function; and where nothing is taken, nothing else finds out that there is no more. */
	#mustLook(key: string): boolean {
		const limits = this.#parts.limits.known(key);
		return limits === undefined || limits.isElsewhere === true;
	}

	#offer(key: string, waiting: number): void {
		const { isElsewhere = false, memoryMiB } = this.#parts.limits.known(key) ?? {};
		if (isElsewhere && waiting > 0 && !this.#stopping) this.#passedBy.seen(key);
		this.#ring.offer(key, isElsewhere ? 0 : waiting, memoryMiB);
		this.#pump();
	}

	#pump(): void {
		while (!this.#stopping) {
			const turn = this.#ring.next();
			if (turn === undefined) return;
			const fetch = this.#fetch(turn);
			this.#fetches.add(fetch);
			void fetch.finally(() => this.#fetches.delete(fetch));
		}
	}

	async #fetch(turn: Turn): Promise<void> {
		const { key } = turn;
		let taken: Taken | undefined;
		let leave: (() => void) | undefined;
		try {
			const admit = this.#parts.admit(key);
			leave = admit && (await this.#full.ask(projectOf(key), admit));
			if (admit !== undefined && leave === undefined) {
				this.#ring.giveBack(turn);
				this.#offer(key, this.#ring.waiting(key) + 1);
				return;
			}
			taken = await this.#takes.next(key);
		} catch (error) {
			leave?.();
			// The index brings it again, by the next tick.
			this.#parts.log.debug({ error, function: key }, "no job could be fetched");
			this.#ring.giveBack(turn);
			this.#offer(key, 0);
			return;
		}
		if (taken === undefined) {
			leave?.();
			this.#ring.giveBack(turn);
			this.#offer(key, 0);
			void this.#look(key, REST_MS);
			return;
		}
		if (this.#ring.waiting(key) === 0) void this.#look(key);
		void this.#run(taken, turn, leave);
	}

	/** False when there is none that is too old, or it takes none. */
	async #endOne(key: string): Promise<boolean> {
		if (this.#stopping) return false;
		const taken = await this.#takes.nextTooOld(key);
		if (taken === undefined) return false;
		await this.#parts.take(taken, key);
		// It may have been the last one.
		void this.#look(key);
		return true;
	}

	async #run(taken: Taken, turn: Turn, leave: (() => void) | undefined): Promise<void> {
		const begunAtMs = performance.now();
		try {
			await this.#parts.take(taken, turn.key);
		} finally {
			leave?.();
			if (leave !== undefined) this.#full.freed(projectOf(turn.key));
			this.#ring.finish(turn, performance.now() - begunAtMs);
			this.#pump();
			// What it may have at most may have been all that it had.
			if (this.#parts.limits.known(turn.key)?.concurrency !== undefined) void this.#look(turn.key);
		}
	}

	/** How much a function has that could be taken. @param restMs before that counts, if it is anything */
	async #look(key: string, restMs = 0): Promise<void> {
		if (this.#stopping || this.#looks.has(key)) return;
		this.#looks.set(key, false);
		let ready = 0;
		try {
			if (this.#parts.limits.known(key) === undefined) await this.#parts.limits.write(key);
			ready = await this.#parts.index.look(key);
			if (ready > 0 && restMs > 0) await wait(restMs);
		} catch (error) {
			this.#parts.log.debug({ error, function: key }, "a background queue can't be looked at");
		}
		const news = this.#looks.get(key) === true;
		this.#looks.delete(key);
		if (this.#parts.limits.known(key) === undefined) return;
		if (ready > 0 || news) this.#offer(key, Math.max(ready, 1));
	}
}

function projectOf(key: string): string {
	const [project = ""] = key.split("/");
	return project;
}
