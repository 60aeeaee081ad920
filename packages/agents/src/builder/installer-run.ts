import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { BuildRefusal, PackageRegistry } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import type { InstallerTask } from "./installer-task.js";
import { failure } from "./refusals.js";
import { RegistryBridge } from "./registry-bridge.js";

/** The installer's heap; the tree itself is in /tmp, of the same memory. */
const HEAP_MIB = 384;
const LAST_LINES = 6;
const LINE_CHARS = 300;
/** What V8 says when its heap is full. */
const HEAP_IS_FULL = /JavaScript heap out of memory/;

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
	if (ended.isLate)
		return failure("install_failed", "install", `${doing} the dependencies took longer than ${limitMs} ms${stoppedAt(underWay, ended)}`);
	if (trouble !== undefined) return failure("registry_unavailable", "install", `The package registry can't be reached: ${trouble}.`);
	if (ended.code !== 0) return failure("install_failed", "install", `The dependencies can't be ${done}: ${whyOf(ended)}`);
	return undefined;
}

interface End {
	readonly code: number | null;
	readonly isLate: boolean;
	readonly out: string;
	readonly lines: readonly string[];
}

async function endOf(child: ChildProcessByStdio<null, Readable, Readable>, limitMs: number): Promise<End> {
	let isLate = false;
	const timer = setTimeout(() => {
		isLate = true;
		child.kill("SIGKILL");
	}, limitMs);
	const closed = new Promise<number | null>((resolve, reject) => child.once("close", resolve).once("error", reject));
	try {
		const [out, log, code] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
		const all = log.split("\n").filter((line) => line.trim() !== "");
		const said = all.filter((line) => !line.startsWith("npm http"));
		const full = all.filter((line) => HEAP_IS_FULL.test(line));
		const lines = full.length > 0 ? full : said.length > 0 ? said : all;
		return { code, isLate, out, lines: lines.slice(-LAST_LINES).map((line) => line.slice(0, LINE_CHARS)) };
	} finally {
		clearTimeout(timer);
	}
}

const WHY: Readonly<Record<string, string>> = {
	E401: "the registry wants a login (`berth registry set`)",
	E403: "the registry refuses it; the login there is (`berth registry set`) may not read it",
	E404: "a package isn't in the registry",
	ETARGET: "a version isn't in the registry",
	EINTEGRITY: "a package's bytes aren't those that package-lock.json was made with",
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
		return `${why === undefined ? "" : `${why}: `}${message}${saying(end)}`;
	} catch (error) {
		if (!(error instanceof SyntaxError)) throw error;
		return `npm ended with ${end.code}.${saying(end)}`;
	}
}

function stoppedAt(underWay: readonly string[], ended: End): string {
	const waiting = underWay.length === 0 ? "" : ` It was waiting for the registry's ${underWay.join(", ")}.`;
	return ` and was stopped.${waiting}${saying(ended)}`;
}

function saying({ lines }: End): string {
	return lines.length === 0 ? "" : ` npm said: ${lines.join(" | ")}`;
}
