import { setTimeout as pause } from "node:timers/promises";
import { MINUTE_MS, SECOND_MS } from "@berth/contracts";
import { messageOf } from "../system-errors.js";
import { Child, type ChildSpec, exitText } from "./child.js";
import type { ProcessIdentity } from "./process-identity.js";
import type { ReadyLine } from "./ready-line.js";

/** How long to wait before a process that ended is started again, milliseconds. */
export interface BackOff {
	readonly firstMs: number;
	/** It doubles up to this. */
	readonly mostMs: number;
	/** A process that ran this long starts from `firstMs` again. */
	readonly healthyMs: number;
}

const BACK_OFF: BackOff = { firstMs: SECOND_MS / 4, mostMs: 10 * SECOND_MS, healthyMs: MINUTE_MS };

/** What a kept process tells its supervisor. */
export interface KeptProcessListener {
	/** It was started or has ended: `identity` is the process there is now. */
	changed(): void;
	/** It is ready, for the first time or again. */
	ready(line: ReadyLine): void | Promise<void>;
	/** Something to tell: it ended by itself, it is up again. */
	say(text: string): void;
}

/** A process that is started again whenever it ends, until it is stopped. */
export class KeptProcess {
	readonly name: string;
	readonly #specOf: () => ChildSpec;
	readonly #listener: KeptProcessListener;
	readonly #backOff: BackOff;
	readonly #stopping = new AbortController();
	#identity: ProcessIdentity | undefined;
	#child: Child | undefined;
	#keeping: Promise<void> = Promise.resolve();

	/** @param specOf asked at each start, since what a process is told may have changed by then */
	constructor(name: string, specOf: () => ChildSpec, listener: KeptProcessListener, backOff: BackOff = BACK_OFF) {
		this.name = name;
		this.#specOf = specOf;
		this.#listener = listener;
		this.#backOff = backOff;
	}

	/** The process as it runs now, ready or not. */
	get identity(): ProcessIdentity | undefined {
		return this.#identity;
	}

	/** Starts it for the first time: that it doesn't get ready is a failure, not a reason to try again. @throws StartError */
	async start(signal: AbortSignal): Promise<void> {
		const starting = this.#startOnce(AbortSignal.any([signal, this.#stopping.signal]));
		this.#keeping = starting.then(
			(child) => this.#keep(child),
			() => undefined,
		);
		await starting;
	}

	/** Ends it and doesn't start it again; resolves when it is gone. @returns whether it was there, and ended with code 0 */
	async stop(): Promise<boolean> {
		this.#stopping.abort(new Error(`${this.name} is being stopped`));
		const exit = await this.#child?.stop();
		await this.#keeping;
		return exit?.code === 0;
	}

	/** Ends it at once. */
	kill(): void {
		this.#stopping.abort(new Error(`${this.name} is being killed`));
		this.#child?.kill();
	}

	async #startOnce(signal: AbortSignal): Promise<Child> {
		try {
			this.#child = await Child.start(this.#specOf(), signal, (identity) => this.#become(identity));
		} catch (error) {
			this.#become(undefined);
			throw error;
		}
		// It may have been asked to stop in the moment in which it got ready.
		if (this.#stopping.signal.aborted) await this.#child.stop();
		this.#stopping.signal.throwIfAborted();
		await this.#listener.ready(this.#child.ready);
		return this.#child;
	}

	async #keep(first: Child): Promise<void> {
		const { signal } = this.#stopping;
		let child: Child | undefined = first;
		let waitMs = this.#backOff.firstMs;
		while (!signal.aborted) {
			if (child !== undefined) {
				const since = performance.now();
				const exit = await child.exited;
				this.#become(undefined);
				if (signal.aborted) return;
				if (performance.now() - since >= this.#backOff.healthyMs) waitMs = this.#backOff.firstMs;
				this.#listener.say(`${this.name} ${exitText(exit)}; starting it again in ${waitMs / SECOND_MS} s`);
			}
			if (!(await this.#wait(waitMs))) return;
			waitMs = Math.min(2 * waitMs, this.#backOff.mostMs);
			child = await this.#startAgain(waitMs);
		}
		await this.#child?.exited;
		this.#become(undefined);
	}

	async #startAgain(nextMs: number): Promise<Child | undefined> {
		try {
			const child = await this.#startOnce(this.#stopping.signal);
			this.#listener.say(`${this.name} is up again`);
			return child;
		} catch (error) {
			if (!this.#stopping.signal.aborted) this.#listener.say(`${messageOf(error)}; trying again in ${nextMs / SECOND_MS} s`);
			return undefined;
		}
	}

	/** @returns false when it is to stop */
	async #wait(ms: number): Promise<boolean> {
		try {
			await pause(ms, undefined, { signal: this.#stopping.signal });
			return true;
		} catch {
			return false;
		}
	}

	#become(identity: ProcessIdentity | undefined): void {
		this.#identity = identity;
		if (identity === undefined) this.#child = undefined;
		this.#listener.changed();
	}
}
