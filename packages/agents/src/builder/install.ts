import { type ChildProcessByStdio, spawn } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { text } from "node:stream/consumers";
import type { InstallRequest } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import type { Built } from "./answer.js";
import { DependencyError, type Installable } from "./dependencies.js";
import { listTree, putTree } from "./installed-tree.js";
import { failure, refused } from "./refusals.js";
import { RegistryBridge } from "./registry-bridge.js";
import { Workspace } from "./workspace.js";

/** The installer's heap; the tree itself is in /tmp, of the same memory. */
const HEAP_MIB = 384;
const LAST_LINES = 6;
const LINE_CHARS = 300;

/** Installs in a process of its own, and puts the tree's bytes. @throws Error when we are to blame */
export async function install(request: InstallRequest, payload: Uint8Array, installer: string, ask: Ask): Promise<Built> {
	const { manifest, lock } = JSON.parse(Buffer.from(payload).toString()) as Installable;
	using workspace = new Workspace([]);
	const directory = join(workspace.directory, "tree");
	mkdirSync(directory);
	writeFileSync(join(directory, "package.json"), JSON.stringify(manifest));
	writeFileSync(join(directory, "package-lock.json"), JSON.stringify(lock));
	await using registry = await RegistryBridge.open(ask);
	const args = [`--max-old-space-size=${HEAP_MIB}`, installer, directory, registry.urlFor(request.registry)];
	const process_ = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"], cwd: directory, env: { HOME: workspace.directory } });
	const ended = await endOf(process_, request.limitMs);
	const { trouble } = registry;
	const { underWay } = registry;
	if (ended.isLate) return refused(failure("install_failed", "install", tooLate(request.limitMs, underWay, ended)));
	if (trouble !== undefined)
		return refused(failure("registry_unavailable", "install", `The package registry can't be reached: ${trouble}.`));
	if (ended.code !== 0) return refused(failure("install_failed", "install", `The dependencies can't be installed: ${whyOf(ended)}`));
	return await put(directory, ask);
}

export function tooLate(limitMs: number, underWay: readonly string[], ended: End, tool = "npm"): string {
	const waiting = underWay.length === 0 ? "" : ` It was waiting for the registry's ${underWay.join(", ")}.`;
	return `Installing took longer than ${limitMs} ms and was stopped.${waiting}${saying(ended, tool)}`;
}

async function put(directory: string, ask: Ask): Promise<Built> {
	try {
		const files = listTree(directory);
		await putTree(directory, files, ask);
		return { answer: { ok: "installed" }, files: [], body: Buffer.from(JSON.stringify(files)) };
	} catch (error) {
		if (error instanceof DependencyError) return refused(failure("dependencies_rejected", "install", error.message));
		throw error;
	}
}

/** How a program of an installation ended. */
export interface End {
	readonly code: number | null;
	readonly isLate: boolean;
	readonly out: string;
	readonly lines: readonly string[];
}

/** Waits for its end, and for its lines; too late, it is killed. */
export async function endOf(child: ChildProcessByStdio<null, Readable, Readable>, limitMs: number): Promise<End> {
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
		return {
			code,
			isLate,
			out,
			lines: (said.length > 0 ? said : all).slice(-LAST_LINES).map((line) => line.slice(0, LINE_CHARS)),
		};
	} finally {
		clearTimeout(timer);
	}
}

const WHY: Readonly<Record<string, string>> = {
	E404: "a package isn't in the registry",
	ETARGET: "a version isn't in the registry",
	EINTEGRITY: "a package's bytes aren't those that package-lock.json was made with",
	EUSAGE: "package.json and package-lock.json don't belong together; run npm install and deploy both",
	EBADENGINE: "a package doesn't run on this Node",
	EBADPLATFORM: "a package is for another platform",
	ENOSPC: "they are larger than there is room for",
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

/** Its last lines. */
export function saying({ lines }: End, tool = "npm"): string {
	return lines.length === 0 ? "" : ` ${tool} said: ${lines.join(" | ")}`;
}
