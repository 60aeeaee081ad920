import { SECOND_MS } from "@berth/contracts";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { type ProcessIdentity, signalProcess, waitUntilGone } from "./process-identity.js";
import type { SupervisorState } from "./state-file.js";

/** Children see their supervisor's end by themselves and stop: first they get the time for it. */
const OWN_END_MS = 6 * SECOND_MS;
const TERM_MS = 10 * SECOND_MS;
const KILL_MS = 5 * SECOND_MS;

/**
 * Ends what a killed supervisor left running.
 * @returns the names of the processes that were still there
 * @throws CommandFailure when one can't be ended
 */
export async function stopLeftovers(state: SupervisorState, ownEndMs = OWN_END_MS): Promise<readonly string[]> {
	const found = await waitUntilGone(state.children, 0);
	let left = await waitUntilGone(found, ownEndMs);
	left = await signalAll(left, "SIGTERM", TERM_MS);
	left = await signalAll(left, "SIGKILL", KILL_MS);
	if (left.length > 0)
		throw new CommandFailure(EXIT.failed, `these can't be ended: ${left.map((child) => `${child.name} (${child.pid})`).join(", ")}`);
	return found.map((child) => child.name);
}

async function signalAll<T extends ProcessIdentity>(
	processes: readonly T[],
	signal: NodeJS.Signals,
	waitMs: number,
): Promise<readonly T[]> {
	for (const each of processes) await signalProcess(each, signal);
	return waitUntilGone(processes, waitMs);
}
