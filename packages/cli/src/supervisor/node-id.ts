import { randomBytes } from "node:crypto";
import { access } from "node:fs/promises";
import { nodeIdBefore, nodeIdOf, type Settings } from "@berth/config";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { isMissing, messageOf } from "../system-errors.js";
import { replaceFile } from "./owned-file.js";

/**
 * Makes this machine's id as a node unless its data directory has one: by chance, since names of hosts and directories are equal on clones. A
 * data directory from before ids were kept has the one that it had. @throws CommandFailure when what is kept is none
 */
export async function ensureNodeId(settings: Pick<Settings, "dataDir" | "paths">): Promise<string> {
	const { dataDir, paths } = settings;
	if (!(await isThere(paths.nodeId))) {
		// A worker that has run here has prepared bases; one that knows of kept ids has left its incarnation as well.
		const isOlder = (await isThere(paths.bases)) && !(await isThere(paths.incarnation));
		const id = isOlder ? nodeIdBefore(dataDir) : `node_${randomBytes(8).toString("hex")}`;
		await replaceFile(paths.nodeId, `${id}\n`, 0o644);
	}
	try {
		return nodeIdOf(settings);
	} catch (error) {
		throw new CommandFailure(EXIT.failed, messageOf(error), { cause: error });
	}
}

export async function isThere(path: string): Promise<boolean> {
	try {
		await access(path);
		return true;
	} catch (error) {
		if (isMissing(error)) return false;
		throw error;
	}
}
