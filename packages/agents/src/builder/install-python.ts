import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type InstallRequest, PYTHON_PACKAGES } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import type { Built } from "./answer.js";
import { IndexSession } from "./index-session.js";
import { INSTALL_OPTIONS, putPackages, runPip, WHEELS_ALONE } from "./pip.js";
import { pipFailure } from "./pip-failure.js";
import { fetchArchives } from "./python-archives.js";
import { refused } from "./refusals.js";
import type { Requirements } from "./requirements.js";
import { Workspace } from "./workspace.js";

/** Installs with pip, in a process of its own, compiles, and puts the tree's bytes; or only archives to build from. @throws Error when we are to blame */
export async function installPython(request: InstallRequest, payload: Uint8Array, program: string, ask: Ask): Promise<Built> {
	const until = performance.now() + request.limitMs;
	const wanted = JSON.parse(Buffer.from(payload).toString()) as Requirements;
	using workspace = new Workspace([]);
	await using index = await IndexSession.open(request, wanted.index, ask);
	const pip = { program, directory: workspace.directory, until };
	return request.fromSource === undefined
		? await installWheels(wanted, pip, index, ask, request.limitMs)
		: await fetchArchives(wanted, request.fromSource, pip, index, ask);
}

async function installWheels(
	{ requirements, flags }: Requirements,
	pip: Parameters<typeof runPip>[0],
	index: IndexSession,
	ask: Ask,
	limitMs: number,
): Promise<Built> {
	const { directory } = pip;
	const file = join(directory, "requirements.txt");
	const report = join(directory, "report.json");
	const packages = join(directory, PYTHON_PACKAGES);
	mkdirSync(packages);
	writeFileSync(file, requirements.join("\n"));
	const args = [...INSTALL_OPTIONS, WHEELS_ALONE, ...flags, "--index-url", index.url, "--target", packages, "--report", report, "-r", file];
	const ended = index.named(await runPip(pip, "install", args), directory);
	const refusal = index.refusal(ended);
	if (refusal !== undefined) return refusal;
	if (ended.code !== 0) return refused(pipFailure(ended, index));
	return await putPackages(pip, report, isOpen(requirements), ask, limitMs);
}

/** Where every requirement has its hash, the source says what is installed. */
export function isOpen(requirements: readonly string[]): boolean {
	return requirements.some((line) => !line.includes("--hash="));
}
