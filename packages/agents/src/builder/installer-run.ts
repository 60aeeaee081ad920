import { spawn } from "node:child_process";
import type { BuildRefusal, PackageRegistry } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import type { InstallerTask } from "./installer-task.js";
import { npmFailure } from "./npm-failure.js";
import { endOf, tooLate } from "./program-end.js";
import { failure } from "./refusals.js";
import { RegistryBridge } from "./registry-bridge.js";

/** The installer's heap; the tree itself is in /tmp, of the same memory. */
const HEAP_MIB = 384;

/** One run of the installer's process. */
export interface InstallerRun {
	readonly action: InstallerTask["action"];
	readonly directory: string;
	readonly registries: readonly PackageRegistry[];
	readonly limitMs: number;
	/** What the process runs. */
	readonly program: string;
	readonly ask: Ask;
	/** Told where the registries are reached, before it runs. */
	readonly prepare: (bridge: RegistryBridge) => void;
}

/** Runs npm's installer in a process of its own. @returns why it failed; undefined when it didn't */
export async function runInstaller(run: InstallerRun): Promise<BuildRefusal | undefined> {
	const { action, directory, registries, limitMs } = run;
	await using bridge = await RegistryBridge.open(registries, run.ask);
	run.prepare(bridge);
	const task: InstallerTask = { action, directory, ...bridge.urls };
	const args = [`--max-old-space-size=${HEAP_MIB}`, "--no-warnings", run.program, JSON.stringify(task)];
	const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], cwd: directory, env: { HOME: directory } });
	const said = await endOf(child, limitMs);
	const ended = { ...said, out: bridge.named(said.out), lines: said.lines.map((line) => bridge.named(line)) };
	const { trouble, underWay } = bridge;
	const [doing, done] = action === "resolve" ? ["Resolving", "resolved"] : ["Installing", "installed"];
	if (ended.isLate) return failure("install_failed", "install", tooLate(`${doing} the dependencies`, limitMs, underWay, ended, "npm"));
	if (trouble !== undefined) return failure("registry_unavailable", "install", `The package registry can't be reached: ${trouble}.`);
	if (ended.code !== 0) return failure("install_failed", "install", `The dependencies can't be ${done}: ${npmFailure(ended, registries)}`);
	return undefined;
}
