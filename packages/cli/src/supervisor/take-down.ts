import { GATEWAY_DRAIN_MOST_MS, type Settings } from "@berth/config";
import { SECOND_MS } from "@berth/contracts";
import { clearStagings } from "../backup/staging.js";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { Child, StartError } from "./child.js";
import { stopLeftovers } from "./leftovers.js";
import { logPath } from "./log-file.js";
import { isRunning, signalProcess, waitUntilGone } from "./process-identity.js";
import { ownPrograms, removalSpecs } from "./programs.js";
import { readSupervisorState, removeSupervisorState } from "./state-file.js";

/** Longer than the graces of all processes together, whatever the stack's gateway was told of its own. */
const STOP_MS = 75 * SECOND_MS + GATEWAY_DRAIN_MOST_MS;
/** After the second signal everything is killed. */
const FORCE_MS = 10 * SECOND_MS;

/** What there was to stop. */
export type TakenDown = "nothing" | "stack" | "leftovers";

/**
 * Stops the stack of a data directory, or what a killed supervisor left of it, and waits until nothing of it runs.
 * @throws CommandFailure; what is left is found again the next time
 */
export async function takeDown(settings: Settings, removeSandboxes = runRemoval): Promise<TakenDown> {
	const { paths } = settings;
	await clearStagings(settings.dataDir);
	const state = await readSupervisorState(paths);
	if (state === undefined) return "nothing";
	const { supervisor } = state;
	const up = await isRunning(supervisor);
	if (up) {
		for (const waitMs of [STOP_MS, FORCE_MS]) {
			await signalProcess(supervisor, "SIGTERM");
			await waitUntilGone([supervisor], waitMs);
		}
		if (await isRunning(supervisor))
			throw new CommandFailure(
				EXIT.failed,
				`the supervisor (${supervisor.pid}) doesn't end: kill -9 ${supervisor.pid}, then \`berth down\` again`,
			);
	}
	// One that was forced, or killed before, has left its state and perhaps more.
	const after = await readSupervisorState(paths);
	const left = await stopLeftovers(after ?? state);
	if (after !== undefined) await removeSandboxes(settings);
	await removeSupervisorState(paths);
	if (up) return "stack";
	return left.length > 0 ? "leftovers" : "nothing";
}

/** Sandboxes outlive a launcher that was killed: another one removes them, and ends. */
async function runRemoval(settings: Settings): Promise<void> {
	try {
		for (const spec of removalSpecs(ownPrograms(), settings)) await Child.start(spec, new AbortController().signal);
	} catch (error) {
		if (!(error instanceof StartError)) throw error;
		throw new CommandFailure(
			EXIT.failed,
			`sandboxes couldn't be removed: ${error.message}; see ${logPath(settings.paths.logs, error.child)}`,
		);
	}
}
