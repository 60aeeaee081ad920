import { HOUR_MS } from "@berth/contracts";
import type { Services } from "../services.js";

/** An accepting is over by then, whatever came of it. */
const IN_DOUBT_MS = HOUR_MS;

/**
 * Removes bodies among the queued that no invocation needs: of what was refused or put again while Redis, or this process, couldn't say so.
 * Any number of gateways may do it; it is done once an hour. @param stop ends it early: the rest goes the next time. @returns how many
 */
export async function sweepLeftBodies(
	{ artifacts, functions, invocations }: Services,
	olderThanMs = IN_DOUBT_MS,
	stop?: AbortSignal,
): Promise<number> {
	// What isn't on record may be what the records were lost of.
	if (!(await functions.store.isWhole())) return 0;
	const { queued } = artifacts;
	let removed = 0;
	for await (const left of invocations.leftBodies(() => queued.heldFor(olderThanMs))) {
		await queued.removeAll(left.map(({ payload }) => payload));
		removed += left.length;
		if (stop?.aborted) break;
	}
	return removed;
}
