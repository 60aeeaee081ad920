import type { Protection } from "../matrix/attack.js";

/** A change of one file's source, from the root of the project: what is found there, once, becomes something else. */
export type Edit = readonly [file: string, find: string, replace: string];

/** How a protection is taken away, in a copy of the project. */
export interface Weakening {
	/** What isn't there any more. */
	readonly takes: string;
	readonly edits: readonly Edit[];
	/** Attacks that were to be ended aren't any more: a test that waits for that in vain has failed as it should. */
	readonly neverEnds?: true;
}

/** Why it is left as it is. */
export interface Kept {
	readonly reason: string;
}

export type Weakenings = Partial<Readonly<Record<Protection, Weakening | Kept>>>;
