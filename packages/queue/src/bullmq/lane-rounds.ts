import { sharedNow } from "@berth/redis";
import type { QueueLogger } from "../logger.js";
import type { FunctionQueues } from "./function-queues.js";
import type { LaneIndex } from "./lane-index.js";
import { STALLED_CHECK_MS } from "./leases.js";

/** How long news may be missed that got lost, milliseconds. */
const TICK_MS = 1000;
/** A tick that is too early would find nothing. */
const TICK_LEAST_MS = 5;
const RESCAN_MS = 10 * 60_000;

export interface LaneRoundsParts {
	readonly queues: FunctionQueues;
	readonly index: LaneIndex;
	readonly log: QueueLogger;
	/** A function has something that is due. */
	readonly due: (key: string) => void;
	/** Jobs of a function were freed, for whichever node. */
	readonly freed: (key: string) => Promise<void>;
}

/** What is looked for by the clock, whatever news there is: jobs that are due, those of workers that died, and queues that the index doesn't have. */
export class LaneRounds {
	readonly #parts: LaneRoundsParts;
	/** Of the rounds that go on. */
	#generation = 0;
	#timers: NodeJS.Timeout[] = [];
	#tickTimer: NodeJS.Timeout | undefined;
	/** When the next tick is; 0 while one is under way. */
	#tickAtMs = 0;

	constructor(parts: LaneRoundsParts) {
		this.#parts = parts;
	}

	begin(): void {
		const generation = ++this.#generation;
		void this.#rescan(generation);
		void this.#tick(generation);
		void this.#sweep(generation);
	}

	/** What is on its way still ends, and begins nothing. */
	end(): void {
		this.#generation++;
		clearTimeout(this.#tickTimer);
		for (const timer of this.#timers.splice(0)) clearTimeout(timer);
	}

	/** Something will be due then, perhaps before what was thought to be next. */
	expect(dueMs: number): void {
		if (dueMs >= this.#tickAtMs) return;
		clearTimeout(this.#tickTimer);
		this.#tickAt(this.#generation, dueMs);
	}

	/** What is due, now and whenever the next is. */
	async #tick(generation: number): Promise<void> {
		this.#tickAtMs = 0;
		let nextAtMs = sharedNow() + TICK_MS;
		try {
			const { keys, nextMs } = await this.#parts.index.due();
			if (generation !== this.#generation) return;
			for (const key of keys) this.#parts.due(key);
			if (nextMs !== undefined) nextAtMs = Math.min(nextAtMs, nextMs);
		} catch (error) {
			this.#parts.log.debug({ error }, "what is due in the background can't be read");
		}
		if (generation === this.#generation) this.#tickAt(generation, nextAtMs);
	}

	#tickAt(generation: number, atMs: number): void {
		this.#tickAtMs = atMs;
		this.#tickTimer = setTimeout(() => void this.#tick(generation), Math.max(TICK_LEAST_MS, atMs - sharedNow()));
	}

	/** Jobs of workers that died. */
	async #sweep(generation: number): Promise<void> {
		try {
			const { index, queues } = this.#parts;
			await Promise.all(
				(await index.busy()).map(async (key) => {
					const stalled = await queues.of(key).getBackend().moveStalledJobsToWait();
					if (stalled.length > 0) await this.#parts.freed(key);
				}),
			);
		} catch (error) {
			this.#parts.log.debug({ error }, "stalled jobs can't be looked for");
		}
		this.#later(generation, STALLED_CHECK_MS, () => void this.#sweep(generation));
	}

	async #rescan(generation: number): Promise<void> {
		await this.#parts.index
			.rescan()
			.catch((error: unknown) => this.#parts.log.warn({ error }, "background queues can't be looked through"));
		this.#later(generation, RESCAN_MS, () => void this.#rescan(generation));
	}

	#later(generation: number, ms: number, act: () => void): void {
		if (generation !== this.#generation) return;
		const timer = setTimeout(() => {
			this.#timers = this.#timers.filter((one) => one !== timer);
			act();
		}, ms);
		this.#timers.push(timer);
	}
}
