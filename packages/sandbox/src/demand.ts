import type { Lease } from "./lease.js";
import { type Nesting, ROOT } from "./nesting.js";
import { type Specialisation, sameSecrets } from "./version-target.js";

/** Somebody who waits for a sandbox of a version. */
export interface Waiter {
	readonly sinceMs: number;
	readonly nesting: Nesting;
	readonly resolve: (lease: Lease) => void;
	readonly reject: (error: Error) => void;
}

/** One sandbox's run of a version, from its lease until it is back. */
export interface Run {
	readonly sinceMs: number;
	readonly nesting: Nesting;
	/** How many other invocations it waits for. */
	waitsFor: number;
	/** Answered, and held by what was given to `waitUntil`: nobody knows for how long. */
	goesOn: boolean;
	/** Nobody waits for it, and it didn't end when it was told so. */
	isLost: boolean;
}

/** What a run is taken to need until one was seen, milliseconds. */
const UNKNOWN_RUN_MS = 10;
/** Runs up to this end soon, milliseconds. */
const SOON_MS = 1000;
/** The weight of the newest run in the moving average: about the last ten count. */
const NEWEST = 0.1;

/** Who waits for a version's sandboxes, how many serve it, and how long its attempts take. */
export class Demand {
	#target: Specialisation;
	readonly #waiters: Waiter[] = [];
	#runMs: number | undefined;
	#cpuMs = 0;
	#computes: number | undefined;
	#lookAgain: NodeJS.Timeout | undefined;
	readonly #runs = new Set<Run>();
	/** Starts under way. */
	starting = 0;
	/** When it was last given a sandbox, as `Turns` count; 0 before the first. */
	hadTurn = 0;

	constructor(target: Specialisation) {
		this.#target = target;
	}

	get target(): Specialisation {
		return this.#target;
	}

	/** It is asked for anew: what starts from now on is given the secrets of now. */
	renew(target: Specialisation): void {
		if (!sameSecrets(this.#target, target)) this.#target = target;
	}

	get waiting(): number {
		return this.#waiters.length;
	}

	/** Sandboxes that run it. */
	get busy(): number {
		return this.#runs.size;
	}

	get serving(): number {
		return this.busy + this.starting;
	}

	/** Those of them that will serve somebody else soon: not those that wait for others themselves, and none that is lost. */
	get able(): number {
		let able = this.starting;
		for (const { waitsFor, isLost } of this.#runs) if (waitsFor === 0 && !isLost) able++;
		return able;
	}

	get allRuns(): ReadonlySet<Run> {
		return this.#runs;
	}

	get allWaiters(): readonly Waiter[] {
		return this.#waiters;
	}

	/** Nobody waits, nothing runs. */
	get quiet(): boolean {
		return this.#waiters.length === 0 && this.serving === 0;
	}

	/** Behind those that are as deep: whom others wait for holds up more. */
	add(waiter: Waiter): void {
		const { depth } = waiter.nesting;
		const at = depth === 0 ? -1 : this.#waiters.findIndex(({ nesting }) => nesting.depth < depth);
		if (at < 0) this.#waiters.push(waiter);
		else this.#waiters.splice(at, 0, waiter);
	}

	/** Takes one out who doesn't wait any longer. */
	remove(waiter: Waiter): void {
		const at = this.#waiters.indexOf(waiter);
		if (at >= 0) this.#waiters.splice(at, 1);
	}

	/** Takes out whose turn it is: the deepest, of those who waits longest. */
	next(): Waiter | undefined {
		return this.#waiters.shift();
	}

	/** Whose turn it is. */
	get first(): Waiter | undefined {
		return this.#waiters[0];
	}

	/** The first waiter for whom no start is under way. */
	get unserved(): Waiter | undefined {
		return this.#waiters[this.starting];
	}

	/** Those for whom no start is under way wait no longer. */
	refuseUnserved(why: Error): void {
		for (const waiter of this.#waiters.splice(this.starting)) waiter.reject(why);
	}

	isStartingFor(waiter: Waiter): boolean {
		const at = this.#waiters.indexOf(waiter);
		return at >= 0 && at < this.starting;
	}

	/** A sandbox begins to run it. */
	begin(nesting = ROOT): Run {
		const run: Run = { sinceMs: performance.now(), nesting, waitsFor: 0, goesOn: false, isLost: false };
		this.#runs.add(run);
		return run;
	}

	/** The sandbox is back. */
	end(run: Run): void {
		this.#runs.delete(run);
	}

	/** An attempt took so long, and so much CPU time, milliseconds. @param contended whether it may have waited for a CPU */
	ran(runMs: number, cpuMs: number, contended = false): void {
		const weight = this.#runMs === undefined ? 1 : NEWEST;
		this.#runMs = moved(this.#runMs ?? 0, runMs, weight);
		this.#cpuMs = moved(this.#cpuMs, cpuMs, weight);
		const share = this.#cpuMs / Math.max(this.#runMs, Number.EPSILON);
		this.#computes = contended ? Math.max(this.#computes ?? 0, share) : share;
	}

	/** How long its attempts take, milliseconds; a guess until one was seen. */
	get runMs(): number {
		return this.#runMs ?? UNKNOWN_RUN_MS;
	}

	/** How many of those that run are likely to be back soon: none that has run for long itself, and none as long as no run was seen. */
	get backSoon(): number {
		if (this.#runMs === undefined || this.#runMs > SOON_MS) return 0;
		const since = performance.now() - SOON_MS;
		return [...this.#runs].filter(({ sinceMs, goesOn, waitsFor, isLost }) => !goesOn && !isLost && waitsFor === 0 && sinceMs >= since)
			.length;
	}

	/** The share of their time that its attempts compute when there is a CPU for them; 1 until one was seen. The more of them share a CPU, the less would be measured. */
	get cpuShare(): number {
		return this.#computes ?? 1;
	}

	/** Milliseconds until the last waiter would have a turn with what serves the version now; Infinity when nothing does. */
	expectedWaitMs(): number {
		const { able } = this;
		return able === 0 ? Number.POSITIVE_INFINITY : (this.runMs * this.#waiters.length) / able;
	}

	/** Looks again in a while, unless that is going to happen anyway. */
	lookAgainIn(ms: number, look: () => void): void {
		if (this.#lookAgain !== undefined) return;
		this.#lookAgain = setTimeout(() => {
			this.#lookAgain = undefined;
			look();
		}, ms);
	}

	/** Ends its timer. */
	forget(): void {
		clearTimeout(this.#lookAgain);
	}
}

function moved(average: number, newest: number, weight: number): number {
	return average + (newest - average) * weight;
}
