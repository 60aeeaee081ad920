import { setTimeout as pause } from "node:timers/promises";
import { MINUTE_MS, SECOND_MS } from "@berth/contracts";
import { messageOf } from "../system-errors.js";
import { Child, type ChildSpec, type Exit, exitText, StartError } from "./child.js";
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

/** A start that somebody waits for. */
interface Again {
	readonly between: () => Promise<void>;
	readonly resolve: () => void;
	readonly reject: (error: unknown) => void;
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
	/** Who wants it to be started again as soon as it has ended. */
	#again: Again | undefined;
	#hurry = new AbortController();
	/** Resolves with the one that has taken its place. */
	#next: PromiseWithResolvers<Child> = Promise.withResolvers();
	readonly #retiring = new Set<Child>();
	/** Those beside it: the next one that starts, the one before that ends. */
	readonly #beside = new Set<ProcessIdentity>();

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

	/** The same, and those that are about to take its place or have left it. */
	get identities(): readonly ProcessIdentity[] {
		return [...(this.#identity === undefined ? [] : [this.#identity]), ...this.#beside];
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
		const stopped = new Error(`${this.name} is being stopped`);
		this.#stopping.abort(stopped);
		this.#again?.reject(stopped);
		const [exit] = await Promise.all([this.#child?.stop(), ...[...this.#retiring].map((child) => child.stop())]);
		await this.#keeping;
		return exit?.code === 0;
	}

	/** Ends it at once. */
	kill(): void {
		this.#stopping.abort(new Error(`${this.name} is being killed`));
		this.#child?.kill();
		for (const child of this.#retiring) child.kill();
	}

	/**
	 * Ends it as one that will be there again, and starts it again at once.
	 * @param between done when it has ended; should that fail, it is started all the same
	 * @throws what `between` does, or StartError; it is tried again then, as one that ended by itself
	 */
	async restart(between: () => Promise<void> = async () => undefined): Promise<void> {
		const again = Promise.withResolvers<void>();
		this.#again = { between, ...again };
		// One that waits to be started again is started now.
		if (this.#child === undefined) this.#hurry.abort();
		else await this.#child.retire();
		await again.promise;
	}

	/**
	 * Starts another one beside it; when that is ready, this one is told to end in its own time, and has ended when this resolves.
	 * @param graceMs how long it may take for that. @throws StartError, and all is as it was
	 */
	async replace(graceMs: number): Promise<void> {
		const before = this.#child;
		if (before === undefined) return await this.restart();
		let identity: ProcessIdentity | undefined;
		const starting = (started: ProcessIdentity) => {
			identity = started;
			this.#beside.add(started);
			this.#listener.changed();
		};
		let next: Child;
		try {
			next = await Child.start(this.#specOf(), this.#stopping.signal, starting);
		} finally {
			if (identity !== undefined) this.#beside.delete(identity);
		}
		if (this.#child !== before) {
			await next.stop();
			throw new StartError(this.name, "ended by itself while another one was started to take its place; that one was stopped again");
		}
		this.#retiring.add(before);
		this.#beside.add(before.identity);
		this.#child = next;
		this.#become(next.identity);
		this.#next.resolve(next);
		try {
			if (this.#stopping.signal.aborted) await next.stop();
			else await this.#listener.ready(next.ready);
			await before.retire(graceMs);
		} finally {
			this.#retiring.delete(before);
			this.#beside.delete(before.identity);
			this.#listener.changed();
		}
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
				const over: Exit | Child = await Promise.race([child.exited, this.#next.promise]);
				if (over instanceof Child) {
					child = over;
					this.#next = Promise.withResolvers();
					continue;
				}
				this.#become(undefined);
				if (signal.aborted) return;
				if (performance.now() - since >= this.#backOff.healthyMs) waitMs = this.#backOff.firstMs;
				if (this.#again === undefined) this.#listener.say(`${this.name} ${exitText(over)}; starting it again in ${waitMs / SECOND_MS} s`);
			}
			if (this.#again === undefined && !(await this.#wait(waitMs))) return;
			const again = this.#again;
			this.#again = undefined;
			if (again === undefined) waitMs = Math.min(2 * waitMs, this.#backOff.mostMs);
			child = await (again === undefined ? this.#startAgain(waitMs) : this.#startAnew(again, waitMs));
			// Asked for while it was started.
			if (this.#again !== undefined) void child?.retire();
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

	/** As somebody asked for, who is told how it went. */
	async #startAnew({ between, resolve, reject }: Again, nextMs: number): Promise<Child | undefined> {
		const failed = await between().then(
			() => undefined,
			(error: unknown) => ({ error }),
		);
		try {
			const child = await this.#startOnce(this.#stopping.signal);
			if (failed === undefined) resolve();
			else reject(failed.error);
			return child;
		} catch (error) {
			reject(error);
			if (!this.#stopping.signal.aborted) this.#listener.say(`${messageOf(error)}; trying again in ${nextMs / SECOND_MS} s`);
			return undefined;
		}
	}

	/** @returns false when it is to stop */
	async #wait(ms: number): Promise<boolean> {
		this.#hurry = new AbortController();
		try {
			await pause(ms, undefined, { signal: AbortSignal.any([this.#stopping.signal, this.#hurry.signal]) });
			return true;
		} catch {
			return !this.#stopping.signal.aborted;
		}
	}

	#become(identity: ProcessIdentity | undefined): void {
		this.#identity = identity;
		if (identity === undefined) this.#child = undefined;
		this.#listener.changed();
	}
}
