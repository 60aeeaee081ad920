/**
 * A node may have so many times its part of all that is in flight (Mirrokni, Thorup and Zadimoghaddam, "Consistent Hashing with Bounded
 * Loads", 2016): less would move functions from their homes for nothing, more would have them wait there beside idle nodes.
 */
export const BOUND = 1.25;
/** So much for each core it may have in any case: with little in flight a home is worth more than evenness. */
export const FLOOR_PER_CORE = 2;

/** A node that an invocation may be placed on. */
export interface Candidate {
	readonly id: string;
	readonly cores: number;
	/** What it has in flight, as far as it is known here. */
	readonly load: number;
}

/** What all candidates have in flight, and their cores. */
export interface Totals {
	readonly load: number;
	readonly cores: number;
}

export function totalsOf(all: Iterable<Candidate>): Totals {
	let [load, cores] = [0, 0];
	for (const each of all) {
		load += each.load;
		cores += each.cores;
	}
	return { load, cores };
}

/** How much a node may have in flight once one more is placed. */
export function boundOf({ cores }: Pick<Candidate, "cores">, all: Totals): number {
	return Math.max(Math.ceil((BOUND * (all.load + 1) * cores) / all.cores), FLOOR_PER_CORE * cores);
}

/**
 * The first that has room and is warm, else the first that has room. Where what is known of loads is so old that none has, the one with
 * the least for its cores.
 * @param ordered the function's home first, and where it goes beyond that @param all what these have together
 * @param isWarm whether it says that it has sandboxes of the version
 */
export function placeAmong<T extends Candidate>(ordered: Iterable<T>, all: Totals, isWarm: (node: T) => boolean): T | undefined {
	let first: T | undefined;
	let least: T | undefined;
	for (const node of ordered) {
		const { load } = node;
		if (load < boundOf(node, all)) {
			if (isWarm(node)) return node;
			first ??= node;
		} else if (least === undefined || load / node.cores < least.load / least.cores) least = node;
	}
	return first ?? least;
}
