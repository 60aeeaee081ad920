import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

/** The checkout. */
export const ROOT = fileURLToPath(new URL("../../", import.meta.url));
/** Where npm puts the programs of packages, the pinned Node among them. */
export const BIN = join(ROOT, "node_modules", ".bin");
export const PINNED_NODE = join(BIN, "node");

/** The environment of everything that is run: the pinned Node first on the path. */
export function environment(extra = {}) {
	const path = process.env.PATH ?? "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
	const withBin = path.split(delimiter)[0] === BIN ? path : `${BIN}${delimiter}${path}`;
	return { ...process.env, PATH: withBin, TURBO_TELEMETRY_DISABLED: "1", DO_NOT_TRACK: "1", ...extra };
}

/** The full path of a program, if there is one of that name. Debian's sbin directories count: root's PATH may lack them. */
export function findProgram(name) {
	const directories = [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin", "/sbin"];
	return directories
		.filter((directory) => directory !== "")
		.map((directory) => join(directory, name))
		.find((path) => existsSync(path));
}
