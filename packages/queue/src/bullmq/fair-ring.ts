import { DeficitRing, settle } from "./deficit-ring.js";
import {
	type Amounts,
	type FunctionShare,
	MEMORY,
	minus,
	NOTHING,
	type ProjectShare,
	plus,
	RESOURCES,
	Shares,
	wantOf,
} from "./lane-shares.js";

/** One may hold so many times what is free, so that there is always some free for who has none. */
const GREED = 7;
/** A part of the slots is for projects that hold none, however many functions the others have. */
const KEPT_SLOTS = 1 / 16;

/** A slot that a function was given. */
export interface Turn {
	readonly key: string;
	/** What it was charged for it in advance. */
	readonly chargedMs: number;
	readonly holds: Amounts;
}

/**
 * Which function is next: projects that have work take turns, and within each its functions, so that a project gets no more for having
 * many of them. What a run costs is the time it holds a slot. Since that is known only when it has ended, function and project are
 * charged what runs of the function cost lately, and the difference afterwards.
 *
 * A project holds at most seven times as many slots as are free (as a shared switch's queues share its memory:
 * Choudhury and Hahne, 1998): alone it gets 7/8 of the node, and who comes next needn't wait for the end of its runs, however
 * long they are. The same holds for the node's memory, where a few runs may have what many slots would need: one that got a slot
 * would wait there for the end of others' runs. And for the pace, of which a run takes the share of its time that it computes: those
 * that wait for something else take next to nothing of it. As long as no project that has work holds less, that bound is each
 * function's instead, and one that holds nothing is let in.
 */
export class FairRing {
	readonly #now: () => number;
	readonly #shares: Shares;
	readonly #projects: DeficitRing<ProjectShare>;
	readonly #resting = new Set<string>();
	/** There is this much; of the pace, that is worth while now. */
	#all: Amounts;
	#held = NOTHING;
	/** What those hold that have work and hold the least, where that was asked for since the last turn. */
	#least: Partial<Record<keyof Amounts, number>> = {};

	/**
	 * @param slots how many runs there may be at a time
	 * @param memoryMiB what they may hold of the node's memory together
	 */
	constructor(slots: number, memoryMiB = Number.POSITIVE_INFINITY, now: () => number = () => performance.now()) {
		this.#all = { slots, memoryMiB, load: slots };
		this.#now = now;
		this.#shares = new Shares(now);
		this.#projects = new DeficitRing(now);
	}

	/** Slots that are given to somebody. */
	get held(): number {
		return this.#held.slots;
	}

	/** How many runs that compute are worth while at a time: fewer than there are slots when the machine is full without them. */
	set pace(pace: number) {
		this.#all = { ...this.#all, load: Math.min(pace, this.#all.slots) };
	}

	/** Jobs of a function that are believed to wait. */
	waiting(key: string): number {
		return this.#shares.find(key)?.waiting ?? 0;
	}

	/** A function has so many jobs waiting, as far as is known; 0 takes it out. @param memoryMiB what each will hold, if it is known */
	offer(key: string, waiting: number, memoryMiB?: number): void {
		const share = this.#shares.of(key);
		const had = share.waiting > 0;
		share.memoryMiB = memoryMiB ?? share.memoryMiB;
		share.waiting = waiting;
		if (waiting === 0) this.#leave(share);
		else if (!had) this.#join(share);
	}

	/** Gives a slot to the function whose turn it is; undefined when none may have one. */
	next(): Turn | undefined {
		if (this.#held.slots >= this.#all.slots) return undefined;
		this.#least = {};
		const mayTake = (share: FunctionShare) => this.#mayTake(share);
		const project = this.#projects.next((one) => this.#hasPlace(one) && one.functions.some(mayTake));
		const share = project?.functions.next(mayTake);
		return share && this.#take(share);
	}

	/** Nothing is given to a project for now, whatever it has waiting. */
	rest(project: string): void {
		const share = this.#shares.project(project);
		this.#resting.add(project);
		if (share !== undefined && share.functions.size > 0) this.#projects.leave(share);
	}

	/** A project that rested takes turns again. */
	resume(project: string): void {
		const share = this.#shares.project(project);
		if (this.#resting.delete(project) && share !== undefined && share.functions.size > 0) this.#enter(share);
	}

	/** A slot is free again. @param costMs how long it was held */
	finish(turn: Turn, costMs: number): void {
		const share = this.#returned(turn);
		for (const account of [share, share.project]) {
			settle(account, turn.chargedMs, costMs);
			account.idleSinceMs = this.#now();
		}
		share.estimateMs = share.estimateMs * MEMORY + costMs * (1 - MEMORY);
	}

	/** A run of a function was measured. @param share of its time that it computes when it may, 0 to 1 */
	computed(key: string, share: number): void {
		const of = this.#shares.of(key);
		of.load = of.load * MEMORY + share * (1 - MEMORY);
	}

	/** A slot was given for nothing: there was no job, or it may not be run now. */
	giveBack(turn: Turn): void {
		const share = this.#returned(turn);
		for (const account of [share, share.project]) account.creditMs += turn.chargedMs;
	}

	#returned({ key, holds }: Turn): FunctionShare {
		const share = this.#shares.of(key);
		for (const holder of [share, share.project]) holder.held = minus(holder.held, holds);
		this.#held = minus(this.#held, holds);
		return share;
	}

	/** Whatever the function is. */
	#hasPlace(project: ProjectShare): boolean {
		const free = this.#all.slots - this.#held.slots;
		if (project.held.slots === 0) return free > 0;
		if (free <= Math.floor(this.#all.slots * KEPT_SLOTS)) return false;
		return this.#leavesSome(project.held, 1, "slots") || this.#holdsLeast(project, "slots");
	}

	#mayTake(share: FunctionShare): boolean {
		const { project } = share;
		if (project.held.slots === 0) return true;
		const wants = wantOf(share);
		return RESOURCES.every((of) => {
			const want = wants[of];
			return this.#leavesSome(project.held, want, of) || (this.#holdsLeast(project, of) && this.#isLetIn(share, want, of));
		});
	}

	/** Of the functions of a project one that holds nothing is let in; but where memory is full already, it would only wait there. */
	#isLetIn({ held }: FunctionShare, want: number, of: keyof Amounts): boolean {
		if (held.slots > 0) return this.#leavesSome(held, want, of);
		return of !== "memoryMiB" || this.#held.memoryMiB < this.#all.memoryMiB;
	}

	#leavesSome(held: Amounts, want: number, of: keyof Amounts): boolean {
		return held[of] + want <= GREED * (this.#all[of] - this.#held[of] - want);
	}

	#holdsLeast({ held }: ProjectShare, of: keyof Amounts): boolean {
		this.#least[of] ??= [...this.#projects].reduce((least, project) => Math.min(least, project.held[of]), Number.POSITIVE_INFINITY);
		return held[of] <= this.#least[of];
	}

	#take(share: FunctionShare): Turn {
		const { key, estimateMs: chargedMs } = share;
		const holds = wantOf(share);
		for (const one of [share, share.project]) {
			one.creditMs -= chargedMs;
			one.held = plus(one.held, holds);
		}
		this.#held = plus(this.#held, holds);
		if (--share.waiting === 0) this.#leave(share);
		return { key, chargedMs, holds };
	}

	#join(share: FunctionShare): void {
		const { project } = share;
		const isFirst = project.functions.size === 0;
		project.functions.join(share, share.held.slots > 0);
		if (isFirst && !this.#resting.has(project.key)) this.#enter(project);
	}

	#enter(project: ProjectShare): void {
		this.#projects.join(project, project.held.slots > 0);
	}

	#leave(share: FunctionShare): void {
		const { project } = share;
		project.functions.leave(share);
		if (project.functions.size === 0) this.#projects.leave(project);
		this.#shares.rests(share);
	}
}
