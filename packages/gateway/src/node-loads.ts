import type { NodeInfo } from "@berth/queue";

/** As old as what a node says of itself may be, by its renewals and our readings, milliseconds. */
const OLDEST_MS = 5000;
/** Nodes that are remembered, at most. */
const MOST_NODES = 4096;

/** What this gateway has in flight on a node; `peak` is the most of this span, `peakBefore` of the one before. */
interface Own {
	inFlight: number;
	peak: number;
	peakBefore: number;
	sinceMs: number;
}

/**
 * What nodes have in flight, from one gateway's view: its own by its own count, the others' by what nodes said last. How much of that was its
 * own isn't known, so it takes the most that it had lately for it: rather too little of others than its own burst twice.
 */
export class NodeLoads {
	readonly #own = new Map<string, Own>();
	readonly #clock: () => number;

	/** @param clock monotonic, milliseconds */
	constructor(clock: () => number = () => performance.now()) {
		this.#clock = clock;
	}

	/** One more is placed there. @returns what is called when it is over */
	begin(node: string): () => void {
		const own = this.#of(node);
		own.inFlight++;
		own.peak = Math.max(own.peak, own.inFlight);
		return () => void own.inFlight--;
	}

	on({ id, load }: Pick<NodeInfo, "id" | "load">): number {
		const own = this.#own.get(id);
		const running = load?.running ?? 0;
		if (own === undefined) return running;
		// Of all nodes it is asked for each invocation.
		if (running === 0) return own.inFlight;
		this.#age(own);
		return own.inFlight + Math.max(0, running - Math.max(own.peak, own.peakBefore));
	}

	#of(node: string): Own {
		const known = this.#own.get(node);
		if (known !== undefined) {
			this.#age(known);
			return known;
		}
		const own = { inFlight: 0, peak: 0, peakBefore: 0, sinceMs: this.#clock() };
		this.#own.set(node, own);
		if (this.#own.size > MOST_NODES) for (const [id, { inFlight }] of this.#own) if (inFlight === 0 && id !== node) this.#own.delete(id);
		return own;
	}

	#age(own: Own): void {
		const nowMs = this.#clock();
		if (nowMs - own.sinceMs < OLDEST_MS) return;
		own.peakBefore = nowMs - own.sinceMs < 2 * OLDEST_MS ? own.peak : own.inFlight;
		own.peak = own.inFlight;
		own.sinceMs = nowMs;
	}
}
