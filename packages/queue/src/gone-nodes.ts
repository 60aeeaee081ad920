import { HOUR_MS } from "@berth/contracts";
import type { GoneNode, NodeInfo } from "./node-ports.js";

/** Nodes that are remembered after they went, at most. */
const MOST_GONE = 32;

/** The nodes that a gateway has seen go, for an hour, and how they went. */
export class GoneNodes {
	readonly #gone = new Map<string, GoneNode>();
	/** Starts of workers that said that they leave. */
	readonly #said = new Set<string>();

	/** It says so itself. */
	leaves(incarnation: string): void {
		this.#said.add(incarnation);
		const [oldest] = this.#said.size > MOST_GONE ? this.#said : [];
		if (oldest !== undefined) this.#said.delete(oldest);
	}

	/** It is listed no more. */
	went(node: NodeInfo, nowMs = Date.now()): void {
		const reason = node.draining === true || this.#said.has(node.incarnation) ? "left" : "lost";
		this.#gone.delete(node.id);
		this.#gone.set(node.id, { node, reason, goneAtMs: nowMs });
		const [oldest] = this.#gone.size > MOST_GONE ? this.#gone.keys() : [];
		if (oldest !== undefined) this.#gone.delete(oldest);
	}

	/** It is listed, perhaps again. */
	isThere(id: string): void {
		this.#gone.delete(id);
	}

	/** The last that went first. */
	list(nowMs = Date.now()): readonly GoneNode[] {
		return [...this.#gone.values()].filter(({ goneAtMs }) => nowMs - goneAtMs < HOUR_MS).reverse();
	}
}
