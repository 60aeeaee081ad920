import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type InstallRequest, PYTHON_PACKAGES, SANDBOX_PATHS } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import type { Built } from "./answer.js";
import { DependencyError } from "./dependency-error.js";
import { filesIn, type InstalledFile, putTree } from "./installed-tree.js";
import { pipFailure } from "./pip-failure.js";
import { type End, endOf, saying, tooLate } from "./program-end.js";
import { fitsBytecode, isBytecode, PYTHON } from "./python.js";
import { PythonIndex } from "./python-index.js";
import { failure, refused } from "./refusals.js";
import { RegistryBridge } from "./registry-bridge.js";
import type { Requirements } from "./requirements.js";
import { Workspace } from "./workspace.js";

/** What was installed, in the form of a requirements file: also what makes a layer of nothing a layer. */
const RESOLVED = ".berth-requirements.txt";
/** How long pip waits for the bridge, seconds; the worker gives a silent index up before. */
const SILENCE_S = 60;
/** Wheels alone, whatever a package or its requirements say: nothing of a package is run. */
const OPTIONS = [
	...["--isolated", "--no-input", "--disable-pip-version-check", "--no-cache-dir", "--no-compile", "--root-user-action=ignore"],
	...["--only-binary=:all:", "--retries=1", `--timeout=${SILENCE_S}`, "--progress-bar=off", "--no-color", "--quiet"],
];

/** Installs with pip, in a process of its own, compiles, and puts the tree's bytes. @throws Error when we are to blame */
export async function installPython(request: InstallRequest, payload: Uint8Array, pip: string, ask: Ask): Promise<Built> {
	const until = performance.now() + request.limitMs;
	const { requirements, flags, index: chosen } = JSON.parse(Buffer.from(payload).toString()) as Requirements;
	using workspace = new Workspace([]);
	const { directory } = workspace;
	const wanted = join(directory, "requirements.txt");
	const report = join(directory, "report.json");
	const packages = join(directory, PYTHON_PACKAGES);
	mkdirSync(packages);
	writeFileSync(wanted, requirements.join("\n"));
	// The bridge's default is the index that is asked.
	const registries = request.registries.toSorted((a, b) => Number(b.url === chosen) - Number(a.url === chosen));
	const index = new PythonIndex(registries[0]?.url ?? "", request.filesOrigin);
	await using registry = await RegistryBridge.open(registries, ask, index);
	const { registry: url } = registry.urls;
	const args = [`${pip}/pip`, "install", ...OPTIONS, ...flags, "--index-url", url, "--target", packages, "--report", report, "-r", wanted];
	const pipsEnd = await python(args, directory, until);
	const lines = pipsEnd.lines.map((line) => registry.named(line).replaceAll(`${directory}/`, ""));
	const ended = { ...pipsEnd, lines };
	const { trouble, denied, underWay } = registry;
	if (ended.isLate)
		return refused(failure("install_failed", "install", tooLate("Installing the packages", request.limitMs, underWay, ended, "pip")));
	if (trouble !== undefined) return refused(failure("registry_unavailable", "install", `The package index can't be reached: ${trouble}.`));
	if (ended.code !== 0 && denied !== undefined)
		return refused(
			failure(
				"install_failed",
				"install",
				`${denied} wants a login; \`berth registry set ${denied}\` gives it one.${saying(ended, "pip")}`,
			),
		);
	if (ended.code !== 0)
		return refused(
			failure("install_failed", "install", `The packages of requirements.txt can't be installed: ${pipFailure(ended, registry.missing)}`),
		);
	const compiled = await compile(directory, until);
	if (compiled.isLate)
		return refused(failure("install_failed", "install", tooLate("Compiling the packages", request.limitMs, [], ended, "pip")));
	const resolved = resolvedIn(report);
	writeFileSync(join(packages, RESOLVED), resolved.map((line) => `${line}\n`).join(""));
	// Where every requirement has its hash, the source says it.
	const isOpen = requirements.some((line) => !line.includes("--hash="));
	return await put(directory, isOpen ? resolved : undefined, ask);
}

function python(args: readonly string[], directory: string, until: number): Promise<End> {
	const env = { HOME: directory, LANG: "C.UTF-8", TMPDIR: directory };
	const child = spawn(PYTHON, ["-I", "-B", ...args], { stdio: ["ignore", "pipe", "pipe"], cwd: directory, env });
	return endOf(child, Math.max(0, until - performance.now()));
}

/** Bytecode that is held against no source, as of code. What isn't for this Python, now and then a package's file, has none. */
function compile(directory: string, until: number): Promise<End> {
	const options = ["-qq", "-f", "--invalidation-mode", "unchecked-hash", "-s", directory, "-p", SANDBOX_PATHS.code];
	return python(["-m", "compileall", ...options, join(directory, PYTHON_PACKAGES)], directory, until);
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

async function put(directory: string, resolved: readonly string[] | undefined, ask: Ask): Promise<Built> {
	try {
		const files = filesIn(directory, PYTHON_PACKAGES, () => false).filter(isKept);
		await putTree(directory, files, ask);
		return { answer: { ok: "installed", ...(resolved && { resolved }) }, files: [], body: Buffer.from(JSON.stringify(files)) };
	} catch (error) {
		if (error instanceof DependencyError) return refused(failure("dependencies_rejected", "install", error.message));
		throw error;
	}
}

function isKept([path]: InstalledFile): boolean {
	return !isBytecode(path) || fitsBytecode(path);
}
