import { UID_RANGE } from "./container-spec.js";

const COUNT = 4096;

/** Disjoint ranges of host ids, one per sandbox, the least recently used first. */
export class UidRanges {
	readonly #free: number[];

	constructor(base: number) {
		this.#free = Array.from({ length: COUNT }, (_, index) => base + index * UID_RANGE);
	}

	/** Whether one of them begins at an id. */
	static has(base: number, first: number): boolean {
		const index = (first - base) / UID_RANGE;
		return Number.isInteger(index) && index >= 0 && index < COUNT;
	}

	/** First id of a range nobody has. @throws Error when all 4,096 are taken */
	take(): number {
		const base = this.#free.shift();
		if (base === undefined) throw new Error(`all ${COUNT} id ranges are in use: this node can't hold more sandboxes`);
		return base;
	}

	give(base: number): void {
		this.#free.push(base);
	}
}
