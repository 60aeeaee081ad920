import type { Demand, Waiter } from "./demand.js";
import type { Turns } from "./turns.js";

/** Who has waited for memory so long goes before all whose turn comes later, milliseconds. A start costs a tenth of it at most. */
const FAIR_AFTER_MS = 1000;
/** And for so long, from when it is first its turn: what should have come free by then won't, whatever it was, milliseconds. */
const HOLDS_BACK_MS = 3000;

/** Who asks for memory: since when, and how many others it comes of. */
export interface Asking {
	readonly sinceMs: number;
	readonly depth: number;
}

/**
 * Who lacks memory, and who leaves it to whom. Without it a version in constant use would keep all that it has: what comes
 * back goes to its own next waiter. Who couldn't be served soon holds nobody back, and nobody does for long.
 */
export class Shortage {
	/** Versions whose next start found no room; most of the time none. */
	readonly #short = new Set<Demand>();
	/** Since when others stand back for somebody. */
	readonly #heldBackSince = new WeakMap<Waiter, number>();
	readonly #missingSoonBytes: (demand: Demand) => number;
	readonly #turns: Turns;

	/** @param missingSoonBytes what a version's next start would lack, were everything given up for it that is idle or soon will be */
	constructor(missingSoonBytes: (demand: Demand) => number, turns: Turns) {
		this.#missingSoonBytes = missingSoonBytes;
		this.#turns = turns;
	}

	/** A version found no room. */
	add(demand: Demand): void {
		this.#short.add(demand);
	}

	/** Whether a version found no room the last time that it asked. */
	has(demand: Demand): boolean {
		return this.#short.has(demand);
	}

	/** It has what it needs, or is about to ask again. Idempotent. */
	delete(demand: Demand): void {
		this.#short.delete(demand);
	}

	/**
	 * Whether a waiter of a version leaves what there is to another version's: to one that is deeper, or one that is as deep, has
	 * waited long and whose turn it is, however long those of this version have waited. @param returnedBytes what the version itself would give back at once
	 */
	holdsBack(demand: Demand, asking: Asking, returnedBytes = 0): boolean {
		for (const other of this.#short) {
			const first = other.unserved;
			if (first === undefined) this.#short.delete(other);
			else if (other === demand || !this.#goesBefore(other, first, demand, asking)) continue;
			else if (this.#missingSoonBytes(other) <= returnedBytes && this.#isFirstFor(first)) return true;
		}
		return false;
	}

	#goesBefore(other: Demand, first: Waiter, demand: Demand, asking: Asking): boolean {
		if (first.nesting.depth !== asking.depth) return first.nesting.depth > asking.depth;
		return hasWaited(first) && this.#turns.compare(other, first.sinceMs, demand, asking.sinceMs) < 0;
	}

	/** Nobody holds others up for long. */
	#isFirstFor(first: Waiter): boolean {
		const since = this.#heldBackSince.get(first) ?? Math.max(performance.now(), first.sinceMs + FAIR_AFTER_MS);
		this.#heldBackSince.set(first, since);
		return performance.now() - since < HOLDS_BACK_MS;
	}

	/** Whether somebody waits for memory now. */
	get lasts(): boolean {
		for (const demand of this.#short) {
			if (demand.unserved !== undefined) return true;
			this.#short.delete(demand);
		}
		return false;
	}

	/** Whether others may stand back for a waiter of this version. */
	mayHoldBack(demand: Demand, waiter: Waiter): boolean {
		return this.#short.has(demand) && (waiter.nesting.depth > 0 || hasWaited(waiter));
	}
}

function hasWaited({ sinceMs }: Waiter): boolean {
	return performance.now() - sinceMs >= FAIR_AFTER_MS;
}
