import { MIB } from "@berth/contracts";

/** What an idle sandbox is counted as until it has been measured (Node 24 with the agent: 24 MiB). */
const IDLE_BYTES = 24 * MIB;

/**
 * The node's memory for sandboxes. One that runs something counts with its whole limit, so that
 * everything that runs could use all it was promised; one that is frozen or waits prewarmed can't
 * grow, and counts with what it has.
 */
export class Admission {
	readonly #budgetBytes: number;
	readonly #reserved = new Map<string, number>();
	#total = 0;

	constructor(budgetBytes: number) {
		this.#budgetBytes = budgetBytes;
	}

	get reservedBytes(): number {
		return this.#total;
	}

	get budgetBytes(): number {
		return this.#budgetBytes;
	}

	/** Whether `bytes` for this sandbox fit, in place of what it holds. */
	fits(id: string, bytes: number): boolean {
		return this.#total - (this.#reserved.get(id) ?? 0) + bytes <= this.#budgetBytes;
	}

	/** Counts a sandbox with so many bytes from now on. */
	reserve(id: string, bytes: number): void {
		this.#total += bytes - (this.#reserved.get(id) ?? 0);
		this.#reserved.set(id, bytes);
	}

	/** Counts an idle sandbox with what it was measured to have. */
	reserveIdle(id: string, measuredBytes = IDLE_BYTES): void {
		this.reserve(id, Math.max(measuredBytes, 0));
	}

	release(id: string): void {
		this.#total -= this.#reserved.get(id) ?? 0;
		this.#reserved.delete(id);
	}
}
