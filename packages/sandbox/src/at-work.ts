import type { Run } from "./demand.js";
import { leftToDeeper } from "./nesting.js";

/** What a node's sandboxes at work hold, those among them that are being started for somebody; and which runs wait for others. */
export class AtWork {
	readonly #budgetBytes: number;
	/** By their invocations, of those that have one: what they wait for is told by it. */
	readonly #runs = new Map<string, Run>();
	#bytes = 0;

	/** @param budgetBytes of the node's memory */
	constructor(budgetBytes: number) {
		this.#budgetBytes = budgetBytes;
	}

	/** A sandbox is started for somebody. */
	starts(bytes: number): void {
		this.#bytes += bytes;
	}

	/** It has started, or come to nothing. */
	started(bytes: number): void {
		this.#bytes -= bytes;
	}

	begin(run: Run, bytes: number): void {
		this.#bytes += bytes;
		if (run.nesting.invocation !== "") this.#runs.set(run.nesting.invocation, run);
	}

	end(run: Run, bytes: number): void {
		const { invocation } = run.nesting;
		this.#bytes -= bytes;
		if (this.#runs.get(invocation) === run) this.#runs.delete(invocation);
	}

	/** As `Pool.waits`. */
	waits(invocation: string): () => void {
		const run = this.#runs.get(invocation);
		if (run === undefined) return () => undefined;
		run.waitsFor++;
		return () => {
			run.waitsFor--;
		};
	}

	/** Whether a run of this depth, beside all that are at work, leaves to deeper ones what is theirs. Alone it may have all. */
	leavesEnough(bytes: number, depth: number): boolean {
		return this.#bytes === 0 || this.#bytes + bytes <= this.#budgetBytes - leftToDeeper(this.#budgetBytes, depth);
	}
}
