import { readFile } from "node:fs/promises";
import { loadSettings, type Settings } from "@berth/config";
import { isRunning } from "../supervisor/process-identity.js";
import { readSupervisorState } from "../supervisor/state-file.js";
import { codeOf, isMissing } from "../system-errors.js";
import { type Check, ok, warning } from "./check.js";

/** Processes of a stack that are given all settings. */
const TOLD = ["gateway", "worker", "launcher", "networks"];

export interface SettingsFound {
	readonly settings: Settings;
	/** Absent where no stack is up whose settings could be others. */
	readonly check?: Check;
}

/**
 * The settings that the stack of a data directory was started with, of the environment of one of its processes; else those of this
 * shell, which a start would take. Nothing is written for it: passwords are among them.
 */
export async function settingsInUse(ours: Settings): Promise<SettingsFound> {
	const state = await readSupervisorState(ours.paths);
	if (state === undefined || !(await isRunning(state.supervisor))) return { settings: ours };
	try {
		for (const name of TOLD) {
			const child = state.children.find((each) => each.name === name);
			if (child === undefined || !(await isRunning(child))) continue;
			const text = await readFile(`/proc/${child.pid}/environ`, "utf8");
			return { settings: loadSettings(variablesIn(text)), check: ok("settings", "Those that the stack was started with.") };
		}
	} catch (error) {
		if (codeOf(error) !== "EACCES" && !isMissing(error)) throw error;
	}
	const found = "Those of this shell: the stack's own can't be read, and may be others.";
	return { settings: ours, check: warning("settings", found, "Run it as root, once the stack is up.") };
}

/** As /proc has them: each ends with a NUL. */
function variablesIn(text: string): Readonly<Record<string, string>> {
	const pairs = text.split("\0").filter((pair) => pair.startsWith("BERTH_"));
	return Object.fromEntries(pairs.map((pair) => [pair.slice(0, pair.indexOf("=")), pair.slice(pair.indexOf("=") + 1)]));
}
