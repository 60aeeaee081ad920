import { createHash } from "node:crypto";

/** Places in orders that are remembered, 4 bytes each. */
const MOST_KEPT = 5_000_000;

/**
 * Nodes in a function's own order: by the hashes of both, the highest first (rendezvous hashing), so that each function has a home where it
 * stays warm, and when a node comes or goes only those move that had it for a home. Remembered while there are the same nodes.
 */
export class Rendezvous {
	readonly #orders = new Map<string, Uint32Array>();
	#ids: readonly string[] = [];

	/** @param ids of all nodes, in an order of their own. @returns where in it they are */
	order(key: string, ids: readonly string[]): Uint32Array {
		if (!this.#areKnown(ids) || (this.#orders.size + 1) * ids.length > MOST_KEPT) this.#orders.clear();
		this.#ids = ids;
		const known = this.#orders.get(key);
		if (known !== undefined) return known;
		const weights = ids.map((id) => createHash("sha1").update(`${key}@${id}`).digest("hex"));
		const order = Uint32Array.from(ids.keys()).sort((a, b) => ((weights[a] as string) < (weights[b] as string) ? 1 : -1));
		this.#orders.set(key, order);
		return order;
	}

	/** Who asks has the same list in hand until it is read again. */
	#areKnown(ids: readonly string[]): boolean {
		const known = this.#ids;
		return ids === known || (ids.length === known.length && ids.every((id, at) => id === known[at]));
	}
}
