/**
 * The node's memory for sandboxes. One that runs something counts with its whole limit, so that
 * everything that runs could use all it was promised; one that is frozen or waits prewarmed can't
 * grow, and counts with what it has. One that is being removed counts until it is gone.
 */
export class Admission {
	readonly #budgetBytes: number;
	readonly #reserved = new Map<string, number>();
	readonly #leaving = new Set<string>();
	#total = 0;
	#leavingTotal = 0;

	constructor(budgetBytes: number) {
		this.#budgetBytes = budgetBytes;
	}

	get reservedBytes(): number {
		return this.#total;
	}

	get budgetBytes(): number {
		return this.#budgetBytes;
	}

	/** Whether `bytes` fit, in place of what a sandbox holds if one is named. */
	fits(bytes: number, id?: string): boolean {
		return this.#total - this.held(id) + bytes <= this.#budgetBytes;
	}

	/** Bytes that would still be missing when everything that is leaving is gone; at most 0 when nothing would. */
	missing(bytes: number, id?: string): number {
		return this.#total - this.held(id) - this.#leavingTotal + bytes - this.#budgetBytes;
	}

	/** Counts a sandbox with so many bytes from now on. */
	reserve(id: string, bytes: number): void {
		this.#total += bytes - this.held(id);
		this.#reserved.set(id, bytes);
	}

	/** A sandbox is about to be removed: its bytes come free. */
	leave(id: string): void {
		if (this.#leaving.has(id)) return;
		this.#leaving.add(id);
		this.#leavingTotal += this.held(id);
	}

	/** A sandbox can't be removed for now: its bytes don't come free soon. Idempotent. */
	stay(id: string): void {
		if (this.#leaving.delete(id)) this.#leavingTotal -= this.held(id);
	}

	/** A sandbox is gone. */
	release(id: string): void {
		const held = this.held(id);
		this.#total -= held;
		this.#reserved.delete(id);
		if (this.#leaving.delete(id)) this.#leavingTotal -= held;
	}

	/** Bytes that a sandbox is counted with. */
	held(id: string | undefined): number {
		return id === undefined ? 0 : (this.#reserved.get(id) ?? 0);
	}
}
