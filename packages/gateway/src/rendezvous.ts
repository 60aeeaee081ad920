import { createHash } from "node:crypto";

/** Functions whose order is remembered. */
const MOST_KEPT = 10_000;

/**
 * Nodes in a function's own order: by the hashes of both, the highest first (rendezvous hashing), so that each function has a home where it
 * stays warm, and when a node comes or goes only those move that had it for a home. Remembered while there are the same nodes.
 */
export class Rendezvous {
	readonly #orders = new Map<string, readonly string[]>();
	#nodes = "";

	/** @param ids of all nodes, in an order of their own */
	order(key: string, ids: readonly string[]): readonly string[] {
		const nodes = ids.join();
		if (nodes !== this.#nodes || this.#orders.size >= MOST_KEPT) this.#orders.clear();
		this.#nodes = nodes;
		const known = this.#orders.get(key);
		if (known !== undefined) return known;
		const weighed = ids.map((id) => ({ id, weight: createHash("sha1").update(`${key}@${id}`).digest("hex") }));
		const order = weighed.sort((a, b) => (a.weight < b.weight ? 1 : -1)).map(({ id }) => id);
		this.#orders.set(key, order);
		return order;
	}
}
