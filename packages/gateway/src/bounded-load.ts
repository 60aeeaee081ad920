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
	/** Whether it says that it has sandboxes of the version. */
	readonly isWarm: boolean;
}

/** How much a node may have in flight once one more is placed. */
export function boundOf({ cores }: Pick<Candidate, "cores">, all: readonly Candidate[]): number {
	const total = all.reduce((sum, { load }) => sum + load, 1);
	const share = cores / all.reduce((sum, each) => sum + each.cores, 0);
	return Math.max(Math.ceil(BOUND * total * share), FLOOR_PER_CORE * cores);
}

/**
 * The first that has room and is warm, else the first that has room. Where what is known of loads is so old that none has, the one with
 * the least for its cores.
 * @param ordered the function's home first, and where it goes beyond that
 */
export function placeAmong(ordered: readonly Candidate[]): Candidate | undefined {
	const withRoom = ordered.filter((each) => each.load < boundOf(each, ordered));
	return withRoom.find(({ isWarm }) => isWarm) ?? withRoom[0] ?? leastOf(ordered);
}

function leastOf([first, ...others]: readonly Candidate[]): Candidate | undefined {
	const perCore = ({ load, cores }: Candidate) => load / cores;
	return first && others.reduce((least, each) => (perCore(each) < perCore(least) ? each : least), first);
}
