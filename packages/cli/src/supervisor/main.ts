import { loadSettings } from "@berth/config";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { messageOf } from "../system-errors.js";
import type { DetachedMessage } from "./detached.js";
import { stoppedBySignal } from "./signals.js";
import { Supervisor } from "./supervisor.js";

// The supervisor of `berth up --detach`: settings from the environment, its log on stdout, and a channel to the
// command that started it until it is ready.
const tell = (message: DetachedMessage) =>
	new Promise<void>((resolve) => {
		// That the command has gone meanwhile is no failure: the stack doesn't need it.
		if (process.connected) process.send?.(message, () => resolve());
		else resolve();
	});
const say = (text: string) => {
	process.stdout.write(`${new Date().toISOString()} ${text}\n`);
	void tell({ kind: "progress", text });
};

const supervisor = new Supervisor(loadSettings(), say);
const stopped = stoppedBySignal(supervisor, say, true);
try {
	const ready = await supervisor.start();
	process.stdout.write(`${new Date().toISOString()} ready${ready.url === null ? "" : ` at ${ready.url}`}\n`);
	await tell({ kind: "ready", ready });
	if (process.connected) process.disconnect();
	await stopped;
} catch (error) {
	process.stdout.write(`${new Date().toISOString()} ${messageOf(error)}\n`);
	const exitCode = error instanceof CommandFailure ? error.exitCode : EXIT.failed;
	await tell({ kind: "failed", message: messageOf(error), exitCode });
	process.exitCode = exitCode;
}
process.exit();
