import { spawn } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { type BuildRefusal, SANDBOX_PATHS, type ScriptsRequest } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import type { Built } from "./answer.js";
import { endOthers } from "./end-others.js";
import { put } from "./install.js";
import { fieldsOf } from "./json-fields.js";
import { type InstalledPackage, inOrder, type PackageScript, packagesIn } from "./package-scripts.js";
import { failure, refused } from "./refusals.js";
import { Printed, tellingLines } from "./said-lines.js";

/** The same each time: what compiles writes down where it was. It goes with the sandbox. */
const DIRECTORY = "/tmp/packages";
const MOST_LINES = 10;
/** What node-gyp adds about itself, after what the compiler said. */
const NOISE = /^gyp (?:info|verb|http|ERR! (?!not found|find |configure error|stack Error))/;
/** Lines of all scripts that an answer has for the log. */
const SAID_LINES = 60;

/** Runs packages' install scripts in a copy of the grafted tree, and puts what the tree is then. @throws Error when we are to blame */
export async function runScripts({ names, runtime, limitMs }: ScriptsRequest, ask: Ask): Promise<Built> {
	const until = performance.now() + limitMs;
	const directory = DIRECTORY;
	cpSync(join(SANDBOX_PATHS.code, "node_modules"), join(directory, "node_modules"), { recursive: true });
	const packages = packagesIn(directory);
	const programs = placePrograms(packages, directory);
	const said: string[] = [];
	for (const one of inOrder(packages, names)) {
		for (const script of one.scripts) {
			const end = await run(script, { one, directory, programs, runtime }, until);
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

/** Whose script it is, and where. */
interface Place {
	readonly one: InstalledPackage;
	readonly directory: string;
	readonly programs: string;
	readonly runtime: ScriptsRequest["runtime"];
}

/** How a script ended. */
interface ScriptEnd {
	readonly end: number | string | null;
	readonly isLate: boolean;
	/** What it said, as much as tells why it failed. */
	readonly lines: readonly string[];
}

async function run(script: PackageScript, place: Place, until: number): Promise<ScriptEnd> {
	const cwd = join(place.directory, place.one.path);
	const env = environment(script, place);
	const child = spawn("/bin/sh", ["-c", script.command], { cwd, env, stdio: ["ignore", "pipe", "pipe"] });
	const printed = new Printed();
	const keep = (stream: Readable) => stream.setEncoding("utf8").on("data", (text: string) => printed.add(text));
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
			endOthers();
		},
		Math.max(0, until - performance.now()),
	);
	try {
		const end = await ended;
		// What it left running holds its output open, and would change files that are read next.
		endOthers();
		await closed;
		const all = printed.lines;
		const telling = all.filter((line) => !NOISE.test(line));
		return { end, isLate, lines: tellingLines(telling.length === 0 ? all : telling, MOST_LINES) };
	} finally {
		clearTimeout(timer);
	}
}

/** What npm sets and scripts look at. */
function environment({ event, command }: PackageScript, { one, directory, programs, runtime }: Place): NodeJS.ProcessEnv {
	const { manifest, name, path } = one;
	return {
		PATH: `${programs}:/usr/bin:/bin`,
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
		npm_config_node_gyp: SANDBOX_PATHS.nodeGyp,
		npm_config_nodedir: `${SANDBOX_PATHS.nodeHeaders}/${runtime}`,
		// As many as a build has cores.
		JOBS: "2",
		npm_config_user_agent: `npm node/${process.version} ${process.platform} ${process.arch}`,
	};
}

/** Puts the packages' programs into a directory, by name. */
function placePrograms(packages: readonly InstalledPackage[], directory: string): string {
	const programs = join(directory, "programs");
	mkdirSync(programs);
	for (const { manifest, name, path } of packages) {
		const { bin } = manifest;
		const all = typeof bin === "string" ? { [name.slice(name.lastIndexOf("/") + 1)]: bin } : fieldsOf(bin);
		for (const [program, file] of Object.entries(all)) {
			if (typeof file !== "string" || !/^[\w.-]+$/.test(program) || /^\.+$/.test(program)) continue;
			const [target, place] = [join(directory, path, file), join(programs, program)];
			if (!target.startsWith(`${directory}/`) || existsSync(place) || !existsSync(target)) continue;
			chmodSync(target, 0o755);
			symlinkSync(target, place);
		}
	}
	return programs;
}

const HINTS: readonly (readonly [RegExp, string])[] = [
	[
		/\b(?:g\+\+|gcc|cc|c\+\+|make)\b.*not found|not found: make/,
		"this node has no compiler, which its operator may install (Debian's packages g++ and make); or choose a version that comes with a binary for this platform",
	],
	[
		/ENOTFOUND|EAI_AGAIN|ENETUNREACH|ECONNREFUSED|ETIMEDOUT|getaddrinfo|[Nn]etwork is unreachable|fetch failed|bad address/,
		"scripts have no network: choose a version that has what it needs in its package",
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
