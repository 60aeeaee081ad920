import { spawnSync } from "node:child_process";
import { join } from "node:path";
import { BIN, environment, ROOT } from "../setup/places.mjs";

/** Runs a tool of node_modules. @returns {string[]} what it printed, when it wasn't content */
export function checkWith(program, ...args) {
	const { status, stdout, stderr, error } = spawnSync(join(BIN, program), args, {
		cwd: ROOT,
		env: environment(),
		encoding: "utf8",
		maxBuffer: 1 << 26,
	});
	if (error !== undefined) return [`${program} doesn't run: ${error.message}`];
	return status === 0 ? [] : `${stdout}${stderr}`.trimEnd().split("\n");
}
