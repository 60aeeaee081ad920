import { setTimeout as wait } from "node:timers/promises";
import type { InvocationRequest } from "@berth/contracts";
import { closeRedis, type Redis } from "@berth/redis";
import type { BackgroundSource } from "./bullmq/background-source.js";
import type { InteractiveSource } from "./bullmq/interactive-source.js";
import type { DeliveryHandler, InvocationSource, SettlementKeeper } from "./ports.js";

/** What a worker has taken since its start, in invocations, and how it went. */
export interface SourceTotals {
	readonly interactive: {
		readonly taken: number;
		readonly settled: number;
		/** Settlements that came second, or whose attempt was stale. */
		readonly stale: number;
		readonly inHand: number;
		/** BullMQ workers that were stuck and made anew. */
		readonly revived: number;
	};
	readonly background: { readonly taken: number; readonly stale: number; readonly inHand: number; readonly revived: number };
}

/** What an open InvocationSource does beyond its port. */
export interface WorkerSource extends InvocationSource {
	totals(): SourceTotals;
	/** A function, `project/name`, changed; with undefined any may have: what bounds it in the background is looked up again. */
	changed(name: string | undefined): void;
	/** Whether a background invocation of a version was accepted within a day: such a version has to stay. */
	hasBackground(version: Pick<InvocationRequest, "project" | "function" | "version">): Promise<boolean>;
}

/** A quarter of a node's concurrency is kept for the background lane, so that neither lane starves the other. */
const BACKGROUND_SHARE = 0.25;
/** So long a close waits for what a lane has asked Redis: one that is away answers when it is back, milliseconds. */
const CLOSE_MS = 1000;

export interface RedisInvocationSourceParts {
	readonly interactive: InteractiveSource;
	readonly background: BackgroundSource;
	/** All connections, to be closed with it; and what ends what is done on them every few seconds. */
	readonly owned: readonly Redis[];
	readonly release: () => void;
}

/** Both lanes behind the worker's port. */
export class RedisInvocationSource implements WorkerSource {
	readonly #interactive: InteractiveSource;
	readonly #background: BackgroundSource;
	readonly #owned: readonly Redis[];
	readonly #release: () => void;
	#started = false;
	#closed: Promise<void> | undefined;

	constructor({ interactive, background, owned, release }: RedisInvocationSourceParts) {
		this.#interactive = interactive;
		this.#background = background;
		this.#owned = owned;
		this.#release = release;
	}

	async start(handler: DeliveryHandler, concurrency: number, settlements?: SettlementKeeper): Promise<void> {
		const background = Math.max(1, Math.floor(concurrency * BACKGROUND_SHARE));
		this.#started = true;
		this.#interactive.start(handler, Math.max(1, concurrency - background));
		this.#background.start(handler, background, settlements);
	}

	async rest(): Promise<void> {
		this.#interactive.rest();
		// Neither lane waits for the other's Redis.
		await Promise.all([this.#interactive.handBack(), this.#background.rest()]);
	}

	resume(): void {
		this.#interactive.resume();
		this.#background.resume();
	}

	async drain(graceMs: number): Promise<void> {
		if (!this.#started) return;
		const interactive = async () => {
			await this.#interactive.stop();
			await this.#interactive.handBack();
			await this.#interactive.idle();
		};
		const background = async () => {
			await this.#background.stop();
			this.#background.handBack();
			await this.#background.idle();
		};
		await within(Promise.all([interactive(), background()]), graceMs);
	}

	waits(invocation: string): () => void {
		return this.#interactive.waits(invocation);
	}

	changed(name: string | undefined): void {
		this.#background.changed(name);
	}

	totals(): SourceTotals {
		return { interactive: this.#interactive.totals, background: this.#background.totals };
	}

	hasBackground(version: Pick<InvocationRequest, "project" | "function" | "version">): Promise<boolean> {
		return this.#background.hasAny(version);
	}

	close(): Promise<void> {
		this.#closed ??= this.#close();
		return this.#closed;
	}

	async #close(): Promise<void> {
		this.#release();
		await within(Promise.all([this.#interactive.close(), this.#background.close()]), CLOSE_MS);
		await Promise.all(this.#owned.map(closeRedis));
	}
}

/** Waits for it, but no longer than that. */
async function within(work: Promise<unknown>, ms: number): Promise<void> {
	const stop = new AbortController();
	const late = wait(ms, undefined, { signal: stop.signal }).catch(() => undefined);
	await Promise.race([work, late]);
	stop.abort();
}
