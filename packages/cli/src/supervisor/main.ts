import { loadSettings } from "@berth/config";
import { messageOf } from "../system-errors.js";
import type { DetachedMessage } from "./detached.js";
import { stoppedBySignal } from "./signals.js";
import { Supervisor } from "./supervisor.js";

// The supervisor of `berth up --detach`: settings from the environment, its log on stdout, and a channel to the
// command that started it until it is ready.
const tell = (message: DetachedMessage) => {
	if (process.connected) process.send?.(message);
};
const say = (text: string) => {
	process.stdout.write(`${new Date().toISOString()} ${text}\n`);
	tell({ kind: "progress", text });
};

const supervisor = new Supervisor(loadSettings(), say);
const stopped = stoppedBySignal(supervisor, say);
try {
	const ready = await supervisor.start();
	process.stdout.write(`${new Date().toISOString()} ready at ${ready.url}\n`);
	tell({ kind: "ready", ready });
	if (process.connected) process.disconnect();
	await stopped;
} catch (error) {
	process.stdout.write(`${new Date().toISOString()} ${messageOf(error)}\n`);
	tell({ kind: "failed", message: messageOf(error) });
	process.exitCode = 1;
	if (process.connected) process.disconnect();
}
process.exit();
