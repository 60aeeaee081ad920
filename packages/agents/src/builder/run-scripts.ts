import { spawn } from "node:child_process";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { type BuildRefusal, SANDBOX_PATHS, type ScriptsRequest } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import type { Built } from "./answer.js";
import { put } from "./install.js";
import { fieldsOf } from "./json-fields.js";
import { type InstalledPackage, inOrder, type PackageScript, packagesIn } from "./package-scripts.js";
import { failure, refused } from "./refusals.js";
import { Workspace } from "./workspace.js";

/** What is kept of what a script prints, at its end. */
const KEPT_CHARS = 16 * 1024;
const LAST_LINES = 10;
const LINE_CHARS = 300;
/** Lines of all scripts that an answer has for the log. */
const SAID_LINES = 60;

/** Runs packages' install scripts in a copy of the grafted tree, and puts what the tree is then. @throws Error when we are to blame */
export async function runScripts({ names, limitMs }: ScriptsRequest, ask: Ask): Promise<Built> {
	const until = performance.now() + limitMs;
	// It goes with the sandbox: what scripts leave may not be theirs to remove.
	const { directory } = new Workspace([]);
	cpSync(join(SANDBOX_PATHS.code, "node_modules"), join(directory, "node_modules"), { recursive: true });
	const packages = packagesIn(directory);
	const said: string[] = [];
	for (const one of inOrder(packages, names)) {
		for (const script of one.scripts) {
			const end = await run(script, one, directory, until);
			const what = `${script.event} script of ${one.name}`;
			const problem = problemOf(end, what, limitMs);
			if (problem !== undefined) return refused(problem);
			said.push(`ran the ${what}`, ...end.lines.map((line) => `  ${line}`));
		}
	}
	try {
		return await put(directory, ask, said.slice(-SAID_LINES));
	} catch (error) {
		const { code, message } = error as NodeJS.ErrnoException;
		if (code === undefined) throw error;
		return refused(failure("install_failed", "install", `The packages' scripts left files that can't be read: ${message}.`));
	}
}

/** How a script ended. */
interface ScriptEnd {
	readonly end: number | string | null;
	readonly isLate: boolean;
	/** The last that it said. */
	readonly lines: readonly string[];
}

async function run({ event, command }: PackageScript, one: InstalledPackage, directory: string, until: number): Promise<ScriptEnd> {
	const cwd = join(directory, one.path);
	const env = environment(event, command, one, directory);
	const child = spawn("/bin/sh", ["-c", `${programs(directory)}${command}`], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
	let kept = "";
	const keep = (stream: Readable) =>
		stream.setEncoding("utf8").on("data", (text: string) => {
			kept = (kept + text).slice(-KEPT_CHARS);
		});
	keep(child.stdout);
	keep(child.stderr);
	let isLate = false;
	const closed = new Promise<void>((resolve) => child.once("close", () => resolve()));
	const ended = new Promise<number | string | null>((resolve, reject) =>
		child.once("error", reject).once("exit", (code, signal) => resolve(code ?? signal)),
	);
	const timer = setTimeout(
		() => {
			isLate = true;
			endAll();
		},
		Math.max(0, until - performance.now()),
	);
	try {
		const end = await ended;
		// What it left running holds its output open, and would change files that are read next.
		endAll();
		await closed;
		const lines = kept.split(/\r?\n/).filter((line) => line.trim() !== "");
		return { end, isLate, lines: lines.slice(-LAST_LINES).map((line) => line.slice(0, LINE_CHARS)) };
	} finally {
		clearTimeout(timer);
	}
}

/** Ends every process of the sandbox but its init and this one: a script's own may have left its group. */
function endAll(): void {
	try {
		process.kill(-1, "SIGKILL");
	} catch (error) {
		// Nothing else runs.
		if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
	}
}

/** What npm sets and scripts look at. */
function environment(event: string, command: string, { manifest, name, path }: InstalledPackage, directory: string): NodeJS.ProcessEnv {
	return {
		PATH: "/usr/bin:/bin",
		HOME: directory,
		TMPDIR: directory,
		INIT_CWD: directory,
		NODE: process.execPath,
		npm_node_execpath: process.execPath,
		npm_command: "ci",
		npm_lifecycle_event: event,
		npm_lifecycle_script: command,
		npm_package_name: name,
		npm_package_version: String(manifest["version"] ?? ""),
		npm_package_json: join(directory, path, "package.json"),
		npm_config_user_agent: `npm node/${process.version} ${process.platform} ${process.arch}`,
	};
}

/** The packages' programs by name. Nothing that can be written here can be executed: they are names for Node with a file. */
function programs(directory: string): string {
	const names = new Map<string, string>();
	for (const { manifest, name, path } of packagesIn(directory)) {
		const { bin } = manifest;
		const all = typeof bin === "string" ? { [name.slice(name.lastIndexOf("/") + 1)]: bin } : fieldsOf(bin);
		for (const [program, file] of Object.entries(all)) {
			if (typeof file !== "string" || !/^[\w.-]+$/.test(program) || names.has(program)) continue;
			const target = join(directory, path, file);
			if (/^[\w./@+-]+$/.test(target) && isNodes(target)) names.set(program, target);
		}
	}
	return [...names].map(([program, target]) => `alias ${program}='${process.execPath} ${target}'\n`).join("");
}

function isNodes(file: string): boolean {
	try {
		return /^#!.*\bnode\b/.test(readFileSync(file, "utf8").slice(0, 200));
	} catch (error) {
		const { code } = error as NodeJS.ErrnoException;
		if (code === "ENOENT" || code === "EISDIR" || code === "ENOTDIR" || code === "ELOOP" || code === "EACCES") return false;
		throw error;
	}
}

const HINTS: readonly (readonly [RegExp, string])[] = [
	[
		/node-gyp|\b(?:g\+\+|gcc|cc|make|cmake|python3?)\b.*not found|not found: (?:make|python)/,
		"a build has no compiler: choose a version that comes with a binary for this platform and needs no script",
	],
	[
		/ENOTFOUND|EAI_AGAIN|ENETUNREACH|ECONNREFUSED|ETIMEDOUT|getaddrinfo|[Nn]etwork is unreachable|fetch failed|bad address/,
		"scripts have no network: choose a version that has what it needs in its package",
	],
	[
		/EACCES|Permission denied|failed to map segment/,
		"what a script writes can't be executed, or loaded as a library, until it is a layer: leave the package out of `scripts` if it works without",
	],
	[/EROFS|Read-only file system/, "only the dependencies' own files and /tmp can be written"],
	[/EAGAIN|can't fork/, "a build may have only so many processes"],
	[/ENOSPC|No space left/, "a build has only so much room"],
];

function problemOf({ end, isLate, lines }: ScriptEnd, what: string, limitMs: number): BuildRefusal | undefined {
	const said = lines.length === 0 ? "" : ` It said: ${lines.join(" | ")}`;
	if (isLate) return failure("install_failed", "install", `The ${what} was stopped: scripts may take ${limitMs} ms.${said}`);
	if (end === 0) return undefined;
	const hint = HINTS.find(([pattern]) => lines.some((line) => pattern.test(line)))?.[1];
	return failure("install_failed", "install", `The ${what} ended with ${end}${hint === undefined ? "" : `: ${hint}`}.${said}`);
}
