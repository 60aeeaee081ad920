import { spawn } from "node:child_process";
import type { BuildRefusal, PackageRegistry } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import type { InstallerTask } from "./installer-task.js";
import { type End, endOf, saying, tooLate } from "./program-end.js";
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
	const args = [`--max-old-space-size=${HEAP_MIB}`, run.program, JSON.stringify(task)];
	const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], cwd: directory, env: { HOME: directory } });
	const ended = await endOf(child, limitMs);
	const { trouble, underWay } = bridge;
	const [doing, done] = action === "resolve" ? ["Resolving", "resolved"] : ["Installing", "installed"];
	if (ended.isLate) return failure("install_failed", "install", tooLate(`${doing} the dependencies`, limitMs, underWay, ended, "npm"));
	if (trouble !== undefined) return failure("registry_unavailable", "install", `The package registry can't be reached: ${trouble}.`);
	if (ended.code !== 0) return failure("install_failed", "install", `The dependencies can't be ${done}: ${whyOf(ended)}`);
	return undefined;
}

const WHY: Readonly<Record<string, string>> = {
	E401: "the registry wants a login (`berth registry set`)",
	E403: "the registry refuses it; the login there is (`berth registry set`) may not read it",
	E404: "a package isn't in the registry",
	ETARGET: "a version isn't in the registry",
	EINTEGRITY: "a package's bytes aren't those that the lock file was made with",
	EUSAGE: "package.json and package-lock.json don't belong together; run npm install and deploy both",
	EBADENGINE: "a package doesn't run on this Node",
	EBADPLATFORM: "a package is for another platform",
	ENOSPC: "they are larger than there is room for",
	ERESOLVE: "their peer dependencies contradict each other",
	EALLOWGIT: "a package depends on git, and only packages of a registry are installed",
	EALLOWREMOTE: "a package depends on a URL, and only packages of a registry are installed",
	EALLOWFILE: "a package depends on a file, and only packages of a registry are installed",
	EALLOWDIRECTORY: "a package depends on a directory, and only packages of a registry are installed",
};

/** npm's own message, after ours where the code tells more. */
function whyOf(end: End): string {
	try {
		const { code, message } = JSON.parse(end.out) as { code: string; message: string };
		const why = WHY[code];
		return `${why === undefined ? "" : `${why}: `}${message}${saying(end, "npm")}`;
	} catch (error) {
		if (!(error instanceof SyntaxError)) throw error;
		return `npm ended with ${end.code}.${saying(end, "npm")}`;
	}
}
