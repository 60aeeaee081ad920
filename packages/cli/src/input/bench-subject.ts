import { readFile, stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { NAME_PATTERN } from "@berth/contracts";
import { HELLO, type Subject } from "@berth/loadtest";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { isMissing, messageOf } from "../system-errors.js";
import { manifestOf } from "./manifest.js";
import { runtimeOf } from "./runtime-of.js";
import { packDirectory } from "./source-directory.js";

/**
 * What `berth bench` is to measure: a function's name is what looks like one, anything else is a path, so that a file
 * `hello` is written `./hello`. With nothing it is a hello of less than 1 KB.
 * @throws CommandFailure
 */
export async function benchSubject(what: string | undefined): Promise<Subject> {
	if (what === undefined) return { kind: "source", deploy: HELLO, title: "the built-in hello" };
	if (NAME_PATTERN.test(what)) return { kind: "deployed", name: what };
	if (!(await isDirectory(what))) {
		return {
			kind: "source",
			deploy: { ...runtimeOf(what), filename: basename(what), source: await readFile(what, "utf8") },
			title: basename(what),
		};
	}
	const { bytes } = await packDirectory(what);
	const { manifest } = await manifestOf(what);
	return { kind: "archive", archive: { kind: "tar.gz", bytes, manifest }, title: basename(resolve(what)) };
}

async function isDirectory(path: string): Promise<boolean> {
	try {
		return (await stat(path)).isDirectory();
	} catch (error) {
		throw new CommandFailure(
			EXIT.usage,
			isMissing(error) ? `${path}: there is no such file or directory, and a function has no such name` : messageOf(error),
		);
	}
}
