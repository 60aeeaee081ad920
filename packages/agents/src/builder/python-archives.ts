import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PYTHON_ARCHIVES } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import type { Built } from "./answer.js";
import type { IndexSession } from "./index-session.js";
import { type Pip, putFiles, runPip, runPython, WHEELS_ALONE } from "./pip.js";
import { pipFailure } from "./pip-failure.js";
import type { End } from "./program-end.js";
import { normalName } from "./python-index.js";
import { failure, refused } from "./refusals.js";
import type { Requirements } from "./requirements.js";

const FETCH = join(import.meta.dirname, "fetch_sdists.py");

/**
 * Fetches what is built where there is no index: source distributions of the packages that are named, wheels of all others that are
 * required, and wheels of what the former say they are built with. Nothing of a package is run. @throws Error when we are to blame
 */
export async function fetchArchives(
	wanted: Requirements,
	names: readonly string[],
	pip: Pip,
	index: IndexSession,
	ask: Ask,
): Promise<Built> {
	const { directory } = pip;
	const archives = join(directory, PYTHON_ARCHIVES);
	mkdirSync(archives);
	const { fromSource, others, absent } = divided(wanted.requirements, names);
	if (absent !== undefined) {
		const message = `The manifest's \`scripts\` name ${JSON.stringify(absent)}, which isn't in requirements.txt`;
		return refused(failure("dependencies_rejected", "install", `${message}: a package that is built from its source is named there.`));
	}
	const lines = `${fromSource.join("\n")}\n`;
	const fetched = index.named(
		await runPython([FETCH, pip.program, index.url, archives], directory, pip.until, { input: lines }),
		directory,
	);
	const refusal = index.refusal(fetched);
	if (refusal !== undefined) return refusal;
	const { needed, error } = foundIn(fetched);
	if (error !== undefined || needed === undefined)
		return refused(failure("install_failed", "install", `A package can't be fetched to be built from its source: ${error}.`));
	for (const [file, requirements, options] of [
		["others.txt", others, [...wanted.flags, "--no-deps"]],
		["needed.txt", needed, []],
	] as const) {
		if (requirements.length === 0) continue;
		const list = join(directory, file);
		writeFileSync(list, requirements.join("\n"));
		const args = [WHEELS_ALONE, ...options, "--index-url", index.url, "--dest", archives, "-r", list];
		const ended = index.named(await runPip(pip, "download", args), directory);
		const why = index.refusal(ended) ?? (ended.code === 0 ? undefined : refused(pipFailure(ended, index)));
		if (why !== undefined) return why;
	}
	return await putFiles(directory, PYTHON_ARCHIVES, () => true, {}, ask);
}

function divided(requirements: readonly string[], names: readonly string[]) {
	const wanted = new Set(names.map(normalName));
	const nameOf = (line: string) => normalName(/^[\w.-]+/.exec(line)?.[0] ?? "");
	const fromSource = requirements.filter((line) => wanted.has(nameOf(line)));
	const there = new Set(fromSource.map(nameOf));
	return {
		fromSource,
		others: requirements.filter((line) => !wanted.has(nameOf(line))),
		absent: names.find((name) => !there.has(normalName(name))),
	};
}

/** What the program printed. What it didn't mean to say is in its last lines. */
function foundIn({ code, out, lines }: End): { readonly needed?: readonly string[]; readonly error?: string } {
	if (code !== 0) return { error: lines.at(-1) ?? `it ended with ${code}` };
	return JSON.parse(out) as { needed?: readonly string[]; error?: string };
}
