import { LIMITS } from "@berth/contracts";

/** Slot time that a function is given per round, milliseconds. */
export const QUANTUM_MS = 50;
/** What a run is taken to cost before one was measured. */
const FIRST_ESTIMATE_MS = QUANTUM_MS;
/** How much of a function's estimate the run before last and those before it keep. */
const MEMORY = 0.7;
/** More than this isn't held against a function for ever: whoever comes next gets no more than this ahead of it, milliseconds. */
const MOST_DEBT_MS = 60_000;
/** What a function saves up while it holds all it may, milliseconds. */
const MOST_SAVED_MS = 1000;
/** A function may hold so many times the slots that are free, so that there is always one free for who has none. */
const GREED = 7;
/** What a run is taken to hold of the node's memory until it is known. */
const FIRST_MEMORY_MIB = LIMITS.memoryMiB.default;
/** What a run counts for at least of those that compute, and the steps in which it does: sums of them are exact. */
const LEAST_LOAD = 1 / 64;
/** Functions without work that are remembered. */
const MOST_REMEMBERED = 4096;

/** A function's share of a node. */
interface Share {
	readonly key: string;
	/** Jobs that are believed to wait. */
	waiting: number;
	held: number;
	heldMiB: number;
	/** What its next run will hold. */
	memoryMiB: number;
	heldLoad: number;
	/** The share of their time that its runs compute, as they did lately; 1 until one was seen. */
	load: number;
	/** Slot time that it may still use in this round; below 0 it has used some of a later one. */
	creditMs: number;
	estimateMs: number;
	/** When it last had something, waiting or in hand. */
	idleSinceMs: number;
}

/** A slot that a function was given. */
export interface Turn {
	readonly key: string;
	/** What it was charged for it in advance. */
	readonly chargedMs: number;
	readonly memoryMiB: number;
	readonly load: number;
}

/**
 * Which function is next: deficit round robin (Shreedhar and Varghese, 1995) over those that have work, where what
 * a run costs is the time it holds a slot. Since that is known only when it has ended, it is charged what runs of
 * the function cost lately, and the difference afterwards. Who comes with nothing held and nothing owed is first.
 *
 * A function holds at most seven times as many slots as are free (as a shared switch's queues share its memory:
 * Choudhury and Hahne, 1998), and the last one is for a function that holds none: alone it gets 7/8 of the node,
 * and who comes next needn't wait for the end of its runs, however long they are. The same holds for the node's memory,
 * where a few runs may have what many slots would need: one that got a slot would wait there for the end of others' runs. And for
 * the pace, of which a run takes the share of its time that it computes: those that wait for something else take next to nothing of it.
 */
export class FairRing {
	readonly #slots: number;
	readonly #memoryMiB: number;
	readonly #now: () => number;
	readonly #shares = new Map<string, Share>();
	/** In the order of their turns; the map's own order is the ring. */
	readonly #ring = new Map<string, Share>();
	readonly #newcomers = new Map<string, Share>();
	#held = 0;
	#heldMiB = 0;
	#heldLoad = 0;
	/** So many runs that compute are worth while now at a time, but for those of functions that have none. */
	#pace: number;

	/**
	 * @param slots how many runs there may be at a time
	 * @param memoryMiB what they may hold of the node's memory together
	 */
	constructor(slots: number, memoryMiB = Number.POSITIVE_INFINITY, now: () => number = () => performance.now()) {
		this.#slots = slots;
		this.#memoryMiB = memoryMiB;
		this.#pace = slots;
		this.#now = now;
	}

	/** Slots that are given to somebody. */
	get held(): number {
		return this.#held;
	}

	/** How many runs that compute are worth while at a time: fewer than there are slots when the machine is full without them. */
	set pace(pace: number) {
		this.#pace = Math.min(pace, this.#slots);
	}

	/** Jobs of a function that are believed to wait. */
	waiting(key: string): number {
		return this.#shares.get(key)?.waiting ?? 0;
	}

	/** A function has so many jobs waiting, as far as is known; 0 takes it out. @param memoryMiB what each will hold, if it is known */
	offer(key: string, waiting: number, memoryMiB?: number): void {
		const share = this.#share(key);
		const had = share.waiting > 0;
		share.memoryMiB = memoryMiB ?? share.memoryMiB;
		share.waiting = waiting;
		if (waiting === 0) this.#leave(share);
		else if (!had) this.#join(share);
	}

	/** Gives a slot to the function whose turn it is; undefined when none may have one. */
	next(): Turn | undefined {
		if (this.#held >= this.#slots) return undefined;
		for (const share of this.#newcomers.values()) {
			if (!this.#mayTake(share)) continue;
			this.#newcomers.delete(share.key);
			this.#ring.set(share.key, share);
			return this.#take(share);
		}
		if (!this.#someMayTake()) return undefined;
		return this.#inRound() ?? this.#inLaterRound();
	}

	/** A slot is free again. @param costMs how long it was held */
	finish(turn: Turn, costMs: number): void {
		const share = this.#returned(turn);
		const { chargedMs } = turn;
		share.creditMs = Math.max(share.creditMs + chargedMs - costMs, -MOST_DEBT_MS);
		share.estimateMs = share.estimateMs * MEMORY + costMs * (1 - MEMORY);
		share.idleSinceMs = this.#now();
	}

	/** A run of a function was measured. @param share of its time that it computes when it may, 0 to 1 */
	computed(key: string, share: number): void {
		const of = this.#share(key);
		of.load = of.load * MEMORY + share * (1 - MEMORY);
	}

	/** A slot was given for nothing: there was no job. */
	giveBack(turn: Turn): void {
		this.#returned(turn).creditMs += turn.chargedMs;
	}

	#returned({ key, memoryMiB, load }: Turn): Share {
		const share = this.#share(key);
		this.#holds(share, -1, -memoryMiB, -load);
		return share;
	}

	#holds(share: Share, slots: number, memoryMiB: number, load: number): void {
		this.#held += slots;
		this.#heldMiB += memoryMiB;
		this.#heldLoad += load;
		share.held += slots;
		share.heldMiB += memoryMiB;
		share.heldLoad += load;
	}

	#inRound(): Turn | undefined {
		for (let left = this.#ring.size; left > 0; left--) {
			const [share] = this.#ring.values() as Iterable<Share> as [Share];
			const able = this.#mayTake(share);
			if (able && share.creditMs > 0) return this.#take(share);
			if (share.creditMs < (able ? QUANTUM_MS : MOST_SAVED_MS)) share.creditMs += QUANTUM_MS;
			this.#ring.delete(share.key);
			this.#ring.set(share.key, share);
		}
		return undefined;
	}

	/** Nobody has credit: as many rounds in one go as it takes until somebody has. */
	#inLaterRound(): Turn | undefined {
		const able = [...this.#ring.values()].filter((share) => this.#mayTake(share));
		const most = able.reduce((found, share) => Math.max(found, share.creditMs), Number.NEGATIVE_INFINITY);
		const rounds = most > 0 ? 0 : Math.floor(-most / QUANTUM_MS) + 1;
		for (const share of this.#ring.values())
			share.creditMs = Math.min(share.creditMs + rounds * QUANTUM_MS, Math.max(share.creditMs, MOST_SAVED_MS));
		const share = able.find(({ creditMs }) => creditMs > 0);
		return share && this.#take(share);
	}

	/** Those that may not hold something: they are no more than there are slots. */
	#someMayTake(): boolean {
		for (const share of this.#ring.values()) if (this.#mayTake(share)) return true;
		return false;
	}

	#mayTake(share: Share): boolean {
		const { held, heldMiB, memoryMiB, heldLoad } = share;
		if (this.#held >= this.#slots) return false;
		if (held === 0) return true;
		const load = loadOf(share);
		return (
			held + 1 <= GREED * (this.#slots - this.#held - 1) &&
			heldLoad + load <= GREED * (this.#pace - this.#heldLoad - load) &&
			heldMiB + memoryMiB <= GREED * (this.#memoryMiB - this.#heldMiB - memoryMiB)
		);
	}

	#take(share: Share): Turn {
		const { key, estimateMs: chargedMs, memoryMiB } = share;
		const load = loadOf(share);
		share.creditMs -= chargedMs;
		this.#holds(share, 1, memoryMiB, load);
		if (--share.waiting === 0) this.#leave(share);
		return { key, chargedMs, memoryMiB, load };
	}

	#join(share: Share): void {
		// Time that a function leaves unused is time that it doesn't owe.
		const awayMs = share.held > 0 ? 0 : this.#now() - share.idleSinceMs;
		share.creditMs = Math.min(share.creditMs + awayMs, QUANTUM_MS);
		const isNew = share.held === 0 && share.creditMs > 0;
		(isNew ? this.#newcomers : this.#ring).set(share.key, share);
	}

	#leave(share: Share): void {
		this.#ring.delete(share.key);
		this.#newcomers.delete(share.key);
		share.idleSinceMs = this.#now();
		// Remembered from the end: the map's first are those that left longest ago.
		this.#shares.delete(share.key);
		this.#shares.set(share.key, share);
		if (this.#shares.size > MOST_REMEMBERED) this.#forget();
	}

	#forget(): void {
		for (const [key, { waiting, held }] of this.#shares) {
			if (this.#shares.size <= MOST_REMEMBERED) return;
			if (waiting === 0 && held === 0) this.#shares.delete(key);
		}
	}

	#share(key: string): Share {
		let share = this.#shares.get(key);
		if (share === undefined) {
			const estimates = { estimateMs: FIRST_ESTIMATE_MS, memoryMiB: FIRST_MEMORY_MIB, load: 1 };
			const holds = { held: 0, heldMiB: 0, heldLoad: 0 };
			share = { key, waiting: 0, ...holds, creditMs: QUANTUM_MS, ...estimates, idleSinceMs: this.#now() };
			this.#shares.set(key, share);
		}
		return share;
	}
}

/** Of the pace, by its next run. */
function loadOf({ load }: Share): number {
	return Math.max(1, Math.ceil(load / LEAST_LOAD)) * LEAST_LOAD;
}
