/** Set by the supervisor for its children: their standard input is a pipe that it holds. */
const SUPERVISED = "BERTH_SUPERVISED";

/** Calls `stop` when the supervisor is gone, however it went. Does nothing without a supervisor. */
export function exitWithParent(stop: () => void): void {
	if (process.env[SUPERVISED] !== "1") return;
	process.stdin.once("end", stop);
	process.stdin.once("error", stop);
	process.stdin.resume();
}

/** What the supervisor tells a child beside its settings. */
export const SUPERVISED_ENVIRONMENT = { [SUPERVISED]: "1" } as const;
