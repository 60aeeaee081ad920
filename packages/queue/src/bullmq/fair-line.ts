import { FairRing, type Turn } from "./fair-ring.js";

/** Whoever takes from the line has places of its own: none is kept here. */
const ANY_NUMBER = Number.MAX_SAFE_INTEGER;

/** Whose turn it was, and what is charged for it when it is over. */
export interface Taken<Item> {
	readonly item: Item;
	readonly turn: Turn;
}

/**
 * A line in which projects take turns, and within each its functions, by the same ring and for the same price as in the background: the time
 * that is held. Each function is served first come, first served. Whoever has a thousand in it, of however many functions, keeps nobody else's one waiting for them.
 */
export class FairLine<Item> {
	readonly #functionOf: (item: Item) => string;
	readonly #ring: FairRing;
	/** By function; none of them is empty. */
	readonly #lines = new Map<string, Item[]>();
	#length = 0;

	/** @param functionOf `project/name` */
	constructor(functionOf: (item: Item) => string, now?: () => number) {
		this.#functionOf = functionOf;
		this.#ring = new FairRing(ANY_NUMBER, undefined, now);
	}

	get length(): number {
		return this.#length;
	}

	push(item: Item): void {
		const key = this.#functionOf(item);
		const line = this.#lines.get(key);
		if (line === undefined) this.#lines.set(key, [item]);
		else line.push(item);
		this.#ring.offer(key, line?.length ?? 1);
		this.#length++;
	}

	/** The first of whose turn it is. The turn is over by `finish`, or `giveBack`. */
	shift(): Taken<Item> | undefined {
		const turn = this.#ring.next();
		const line = turn && this.#lines.get(turn.key);
		if (turn === undefined || line === undefined) return undefined;
		const item = line.shift() as Item;
		if (line.length === 0) this.#lines.delete(turn.key);
		this.#length--;
		return { item, turn };
	}

	/** @param heldMs how long its place was held */
	finish(turn: Turn, heldMs: number): void {
		this.#ring.finish(turn, heldMs);
	}

	/** It came to nothing, which costs nobody anything. */
	giveBack(turn: Turn): void {
		this.#ring.giveBack(turn);
	}

	/** Takes out all of which this is so. */
	takeOut(isSo: (item: Item) => boolean): Item[] {
		const out: Item[] = [];
		for (const [key, line] of this.#lines) {
			const left = line.filter((item) => !isSo(item));
			if (left.length === line.length) continue;
			out.push(...line.filter(isSo));
			if (left.length > 0) this.#lines.set(key, left);
			else this.#lines.delete(key);
			this.#ring.offer(key, left.length);
		}
		this.#length -= out.length;
		return out;
	}
}
