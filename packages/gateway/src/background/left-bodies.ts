import { HOUR_MS } from "@berth/contracts";
import type { Services } from "../services.js";

/** An accepting is over by then, whatever came of it. */
const IN_DOUBT_MS = HOUR_MS;

/**
 * Removes bodies among the queued that no invocation needs: of what was refused or put again while Redis, or this process, couldn't say so.
 * Any number of gateways may do it; it is done once an hour. @returns how many
 */
export async function sweepLeftBodies({ artifacts, functions, invocations }: Services, olderThanMs = IN_DOUBT_MS): Promise<number> {
	// What isn't on record may be what the records were lost of.
	if (!(await functions.store.isWhole())) return 0;
	const { queued } = artifacts;
	const left = await invocations.leftBodies(() => queued.heldFor(olderThanMs));
	for (const { payload } of left) await queued.remove(payload);
	return left.length;
}
