import type { Supervisor } from "./supervisor.js";

/** The exit code of a process that SIGINT ended, as shells count it. */
const INTERRUPTED = 130;

/**
 * Hears SIGINT and SIGTERM for a supervisor: the first stops it in order, a further one ends everything at once
 * and leaves the process.
 * @returns when it has stopped
 */
export function stoppedBySignal(supervisor: Supervisor, say: (text: string) => void): Promise<void> {
	return new Promise((resolve, reject) => {
		let stopping = false;
		const hear = (signal: NodeJS.Signals) => {
			if (stopping) {
				supervisor.kill();
				process.exit(INTERRUPTED);
			}
			stopping = true;
			say(`${signal}: stopping (once more ends everything at once)`);
			supervisor.stop().then(resolve, reject);
		};
		process.on("SIGINT", hear);
		process.on("SIGTERM", hear);
		// A terminal that goes away takes no stack with it silently: it is stopped in order.
		process.on("SIGHUP", hear);
	});
}
