import { spawn } from "node:child_process";
import { constants } from "node:os";
import { environment, PINNED_NODE, ROOT } from "./places.mjs";

/**
 * Runs a script on the pinned Node, in place of this process: it has the terminal and gets the signals.
 * @param {readonly string[]} args
 * @param {Record<string, string>} [env] variables on top of this process's
 * @returns {Promise<number>} its exit code
 */
export function handOver(args, env) {
	const child = spawn(PINNED_NODE, args, { cwd: ROOT, env: environment(env), stdio: "inherit" });
	// A terminal sends SIGINT to both: it is the child's to act on it.
	const ignored = () => undefined;
	const passedOn = (signal) => child.kill(signal);
	process.on("SIGINT", ignored);
	for (const signal of ["SIGTERM", "SIGHUP"]) process.on(signal, passedOn);
	return new Promise((resolve, reject) => {
		child.once("error", reject);
		child.once("close", (code, signal) => resolve(code ?? 128 + constants.signals[signal]));
	});
}
