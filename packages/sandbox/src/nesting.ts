import { MIB } from "@berth/contracts";

/** Where an invocation stands among those that wait for one another. */
export interface Nesting {
	readonly invocation: string;
	/** How many others it comes of. */
	readonly depth: number;
	/** The one that waits for it. */
	readonly parent?: string;
}

/** One that nobody waits for but its caller. */
export const ROOT: Nesting = { invocation: "", depth: 0 };

/** What most functions have: the memory that is kept for each depth. */
const SLICE_BYTES = 128 * MIB;
const MOST_SLICES = 8;
const SHARE = 1 / 8;

/**
 * The part of a node's memory that runs of a depth leave to deeper ones: an eighth at most, in slices of the memory that
 * functions have by default, one more for each depth. Idle sandboxes may have it meanwhile.
 */
export function leftToDeeper(budgetBytes: number, depth: number): number {
	const slices = Math.min(MOST_SLICES, Math.floor((budgetBytes * SHARE) / SLICE_BYTES));
	return Math.max(0, slices - depth) * SLICE_BYTES;
}
