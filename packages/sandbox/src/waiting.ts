import { FIXED_LIMITS } from "@berth/contracts";
import type { Demand, Waiter } from "./demand.js";
import type { Lease } from "./lease.js";
import type { Nesting } from "./nesting.js";
import { nobodyWaits, tooLate } from "./refusals.js";
import type { Lack } from "./standstill.js";

/**
 * Waits for a sandbox of a version.
 * @param ends what ends the wait before its time
 * @param hooks `began` once somebody waits; `left` when that one goes without a sandbox; `lacks` says what for
 * @throws BerthError `start_timed_out` after `FIXED_LIMITS.startMs`, `cancelled` by one of `ends`, or what the waiter is rejected with
 */
export async function waitFor(
	demand: Demand,
	ends: readonly AbortSignal[],
	nesting: Nesting,
	hooks: { readonly began: () => void; readonly left: (waiter: Waiter) => void; readonly lacks: () => Lack | undefined },
): Promise<Lease> {
	const { promise, resolve, reject } = Promise.withResolvers<Lease>();
	const waiter: Waiter = { sinceMs: performance.now(), nesting, resolve, reject };
	demand.add(waiter);
	const leave = () => {
		demand.remove(waiter);
		hooks.left(waiter);
	};
	const giveUp = () => {
		const lack = hooks.lacks();
		leave();
		reject(tooLate(demand, lack));
	};
	// Whose start is under way has a sandbox: how long the module may take to load is the start's to say.
	const look = () => {
		if (demand.isStartingFor(waiter)) timer = setTimeout(giveUp, FIXED_LIMITS.startMs);
		else giveUp();
	};
	const goAway = () => {
		leave();
		reject(nobodyWaits());
	};
	let timer = setTimeout(look, FIXED_LIMITS.startMs);
	for (const end of ends) end.addEventListener("abort", goAway, { once: true });
	hooks.began();
	try {
		return await promise;
	} finally {
		clearTimeout(timer);
		for (const end of ends) end.removeEventListener("abort", goAway);
	}
}
