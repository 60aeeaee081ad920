import { EXIT } from "../exit-codes.js";
import { hearStops } from "../interruption.js";
import type { Supervisor } from "./supervisor.js";

/**
 * Hears requests to stop for a supervisor (a terminal that goes away is one, too): the first stops it in order, a further
 * one ends everything at once and leaves the process.
 * @returns when it has stopped
 */
export function stoppedBySignal(supervisor: Supervisor, say: (text: string) => void): Promise<void> {
	return new Promise((resolve, reject) => {
		hearStops((times, signal) => {
			if (times > 1) {
				supervisor.kill();
				process.exit(EXIT.interrupted);
			}
			say(`${signal}: stopping (once more ends everything at once)`);
			supervisor.stop().then(resolve, reject);
		});
	});
}
