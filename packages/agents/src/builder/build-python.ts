import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { PYTHON_ARCHIVES, PYTHON_PACKAGES, SANDBOX_PATHS, type ScriptsRequest } from "@berth/contracts/agent";
import type { Ask } from "../node/questions.js";
import type { Built } from "./answer.js";
import { isOpen } from "./install-python.js";
import { INSTALL_OPTIONS, putPackages, runPip, WHEELS_ALONE } from "./pip.js";
import { pipFailure } from "./pip-failure.js";
import { tooLate } from "./program-end.js";
import { failure, refused } from "./refusals.js";
import type { Requirements } from "./requirements.js";

/** The same each time: what is compiled writes down where it was. It goes with the sandbox. */
const DIRECTORY = "/tmp/packages";
const MEANINGS: readonly (readonly [RegExp, string])[] = [
	[
		/No matching distribution found|Could not find a version/,
		"where a package is built from its source, requirements.txt has to name all that is needed, as pip-compile and pip freeze write it; and what it is built with has to be in its pyproject.toml",
	],
	[/Python\.h: No such file/, "this node has no headers of Python: only packages of Python alone can be built"],
];

/** Builds packages from their source distributions and installs all, without an index: what the layer that was grafted in has. @throws Error when we are to blame */
export async function buildPython({ names, limitMs }: ScriptsRequest, payload: Uint8Array, program: string, ask: Ask): Promise<Built> {
	const { requirements, flags } = JSON.parse(Buffer.from(payload).toString()) as Requirements;
	const directory = DIRECTORY;
	const packages = join(directory, PYTHON_PACKAGES);
	mkdirSync(packages, { recursive: true });
	const file = join(directory, "requirements.txt");
	const report = join(directory, "report.json");
	writeFileSync(file, requirements.join("\n"));
	const pip = { program, directory, until: performance.now() + limitMs, runsCode: true };
	const from = ["--no-index", "--find-links", join(SANDBOX_PATHS.code, PYTHON_ARCHIVES)];
	const which = [WHEELS_ALONE, `--no-binary=${names.join(",")}`, "--use-pep517"];
	const args = [...INSTALL_OPTIONS, ...which, ...from, ...flags, "--target", packages, "--report", report, "-r", file];
	const ended = await runPip(pip, "install", args);
	if (ended.isLate) return refused(failure("install_failed", "install", tooLate("Building the packages", limitMs, [], ended, "pip")));
	if (ended.code !== 0) return refused(pipFailure(ended, { meanings: MEANINGS }));
	return await putPackages(pip, report, isOpen(requirements), ask, limitMs, [`built ${names.join(", ")} from source`]);
}
