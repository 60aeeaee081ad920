import { EXIT } from "../exit-codes.js";
import { hearStops } from "../interruption.js";
import type { Supervisor } from "./supervisor.js";

const HANGUP =
	"SIGHUP: nothing is done; a new certificate is taken by itself, settings at the next start (SIGTERM, or `berth down`, stops the stack)";

/**
 * Hears requests to stop for a supervisor (a terminal that goes away is one, too): the first stops it in order, a further
 * one ends everything at once and leaves the process.
 * @param isDetached whether it has no terminal: then SIGHUP, which asks services to read their files again, is told and nothing else
 * @returns when it has stopped
 */
export function stoppedBySignal(supervisor: Supervisor, say: (text: string) => void, isDetached = false): Promise<void> {
	if (isDetached) process.on("SIGHUP", () => say(HANGUP));
	return new Promise((resolve, reject) => {
		hearStops(
			(times, signal) => {
				if (times > 1) {
					supervisor.kill();
					process.exit(EXIT.interrupted);
				}
				say(`${signal}: stopping (once more ends everything at once)`);
				supervisor.stop().then(resolve, reject);
			},
			isDetached ? ["SIGINT", "SIGTERM"] : undefined,
		);
	});
}
