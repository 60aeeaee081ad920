import { lstat } from "node:fs/promises";
import type { Settings } from "@berth/config";
import { modeForOthers } from "../supervisor/owned-file.js";
import { isMissing } from "../system-errors.js";
import { type Check, ok, warning } from "./check.js";

/** A key that is kept in a file of the data directory. */
export interface KeyFile {
	/** Of the check. */
	readonly name: string;
	readonly path: string;
	readonly owner: string;
	/** Whose it may be. */
	readonly uids: readonly number[];
	/** What to do where it isn't its owner's alone. */
	readonly mend: string;
	/** What to do where it is no file. */
	readonly instead: string;
}

/** Whether the operator's key is root's alone. A start makes one where there is none, or needs none. */
export async function checkAdminKey({ paths: { adminKey: path } }: Pick<Settings, "paths">): Promise<readonly Check[]> {
	const exposed = await exposure({
		...{ name: "operator's key", path, owner: "root", uids: [0] },
		mend: `chown 0:0 ${path}; chmod 600 ${path}. Who could read it may have it: docs/operating.md (Keys) has how to replace it.`,
		instead: "Remove it: the next start makes another key, and shows it once.",
	});
	return exposed === "missing" ? [] : [exposed ?? ok("operator's key", `${path} is root's alone.`)];
}

/** What lets others use it, where anything does. */
export async function exposure({ name, path, owner, uids, mend, instead }: KeyFile): Promise<Check | "missing" | undefined> {
	const found = await lstat(path).catch((error: unknown) => {
		if (!isMissing(error)) throw error;
	});
	if (found === undefined) return "missing";
	if (!found.isFile()) return warning(name, `${path} is no file of its own.`, instead);
	const mode = modeForOthers(found);
	if (mode !== undefined) return warning(name, `${path} has mode ${mode.toString(8)}: others than its owner may use it.`, mend);
	return uids.includes(found.uid) ? undefined : warning(name, `${path} belongs to uid ${found.uid}, not to ${owner}.`, mend);
}
