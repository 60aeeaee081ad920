/**
 * A line in which owners take turns, each with its own first come first: whoever has a thousand in it keeps nobody
 * else's one from being next but one.
 */
export class FairLine<Item> {
	readonly #ownerOf: (item: Item) => string;
	/** By owner, in the order of their turns; none of them is empty. */
	readonly #lines = new Map<string, Item[]>();
	#length = 0;

	constructor(ownerOf: (item: Item) => string) {
		this.#ownerOf = ownerOf;
	}

	get length(): number {
		return this.#length;
	}

	push(item: Item): void {
		const owner = this.#ownerOf(item);
		const line = this.#lines.get(owner);
		if (line === undefined) this.#lines.set(owner, [item]);
		else line.push(item);
		this.#length++;
	}

	/** The first of whose turn it is, who is last from now on. */
	shift(): Item | undefined {
		const [next] = this.#lines;
		if (next === undefined) return undefined;
		const [owner, line] = next;
		this.#lines.delete(owner);
		const item = line.shift();
		if (line.length > 0) this.#lines.set(owner, line);
		this.#length--;
		return item;
	}

	/** Takes out all of which this is so. */
	takeOut(isSo: (item: Item) => boolean): Item[] {
		const out: Item[] = [];
		for (const [owner, line] of this.#lines) {
			const left = line.filter((item) => !isSo(item));
			if (left.length === line.length) continue;
			out.push(...line.filter(isSo));
			if (left.length > 0) this.#lines.set(owner, left);
			else this.#lines.delete(owner);
		}
		this.#length -= out.length;
		return out;
	}
}
