import { spawn } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PYTHON_PACKAGES, SANDBOX_PATHS } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import type { Built } from "./answer.js";
import { DependencyError } from "./dependency-error.js";
import { endOthers } from "./end-others.js";
import { filesIn, type InstalledFile, putTree } from "./installed-tree.js";
import { type End, endOf, tooLate } from "./program-end.js";
import { fitsBytecode, isBytecode, PYTHON } from "./python.js";
import { failure, refused } from "./refusals.js";

/** What was installed, in the form of a requirements file: also what makes a layer of nothing a layer. */
const RESOLVED = ".berth-requirements.txt";
/** How long pip waits for the bridge, seconds; the worker gives a silent index up before. */
const SILENCE_S = 60;
const OPTIONS = [
	...["--isolated", "--no-input", "--disable-pip-version-check", "--no-cache-dir"],
	...["--retries=1", `--timeout=${SILENCE_S}`, "--progress-bar=off", "--no-color"],
];
/** Wheels alone, whatever a package or its requirements say: nothing of a package is run. */
export const WHEELS_ALONE = "--only-binary=:all:";
/** Of an installation. */
export const INSTALL_OPTIONS = ["--no-compile", "--root-user-action=ignore"];

/** One run of pip, and where. */
export interface Pip {
	/** Its zip. */
	readonly program: string;
	readonly directory: string;
	/** When everything has to be done, on the monotonic clock. */
	readonly until: number;
	/** Whether packages' own code is run: what that leaves running ends with pip, and what it says is said. */
	readonly runsCode?: boolean;
}

export function runPip(
	{ program, directory, until, runsCode = false }: Pip,
	command: "install" | "download",
	args: readonly string[],
): Promise<End> {
	return runPython([`${program}/pip`, command, ...OPTIONS, ...(runsCode ? [] : ["--quiet"]), ...args], directory, until, {
		endsOthers: runsCode,
	});
}

/** @param input what it has on its standard input. @param endsOthers whether whatever else runs ends with it: its output would stay open */
export function runPython(
	args: readonly string[],
	directory: string,
	until: number,
	{ input, endsOthers = false }: { readonly input?: string; readonly endsOthers?: boolean } = {},
): Promise<End> {
	const env = { HOME: directory, LANG: "C.UTF-8", TMPDIR: directory, PATH: "/usr/bin:/bin" };
	const child = spawn(PYTHON, ["-I", "-B", ...args], { stdio: ["pipe", "pipe", "pipe"], cwd: directory, env });
	if (endsOthers) child.once("exit", endOthers);
	// It may have ended without reading.
	child.stdin.on("error", () => undefined).end(input);
	return endOf(child, Math.max(0, until - performance.now()));
}

/** Compiles what was installed, notes what it is, and puts it. @param isOpen whether the source leaves open what is installed */
export async function putPackages(
	pip: Pip,
	report: string,
	isOpen: boolean,
	ask: Ask,
	limitMs: number,
	said?: readonly string[],
): Promise<Built> {
	const { directory } = pip;
	const compiled = await compile(pip);
	if (compiled.isLate)
		return refused(failure("install_failed", "install", tooLate("Compiling the packages", limitMs, [], compiled, "pip")));
	const resolved = resolvedIn(report);
	writeFileSync(join(directory, PYTHON_PACKAGES, RESOLVED), resolved.map((line) => `${line}\n`).join(""));
	const more = { ...(isOpen && { resolved }), ...(said && { said }) };
	return await putFiles(directory, PYTHON_PACKAGES, isKept, more, ask);
}

/** Puts the files below a directory's `top`. */
export async function putFiles(
	directory: string,
	top: string,
	isWanted: (file: InstalledFile) => boolean,
	more: { readonly resolved?: readonly string[]; readonly said?: readonly string[] },
	ask: Ask,
): Promise<Built> {
	try {
		const files = filesIn(directory, top, () => false).filter(isWanted);
		await putTree(directory, files, ask);
		return { answer: { ok: "installed", ...more }, files: [], body: Buffer.from(JSON.stringify(files)) };
	} catch (error) {
		if (error instanceof DependencyError) return refused(failure("dependencies_rejected", "install", error.message));
		throw error;
	}
}

/** Bytecode that is held against no source, as of code. What isn't for this Python, now and then a package's file, has none. */
function compile({ directory, until }: Pip): Promise<End> {
	const options = ["-qq", "-f", "--invalidation-mode", "unchecked-hash", "-s", directory, "-p", SANDBOX_PATHS.code];
	return runPython(["-m", "compileall", ...options, join(directory, PYTHON_PACKAGES)], directory, until);
}

/** What pip says it installed (its "Installation Report"), as lines that pin it. */
function resolvedIn(report: string): readonly string[] {
	const { install } = JSON.parse(readFileSync(report, "utf8")) as { install: readonly PipInstalled[] };
	const lines = install.map(({ metadata, download_info: { archive_info } }) => {
		const hash = archive_info?.hashes?.["sha256"] ?? archive_info?.hash?.replace(/^sha256=/, "");
		return `${metadata.name}==${metadata.version}${hash === undefined ? "" : ` --hash=sha256:${hash}`}`;
	});
	return lines.sort();
}

interface PipInstalled {
	readonly metadata: { readonly name: string; readonly version: string };
	readonly download_info: { readonly archive_info?: { readonly hash?: string; readonly hashes?: Readonly<Record<string, string>> } };
}

function isKept([path]: InstalledFile): boolean {
	return !isBytecode(path) || fitsBytecode(path);
}
