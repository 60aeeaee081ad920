import type { StatsFs } from "node:fs";
import { stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Settings } from "@berth/config";
import { MIB } from "@berth/contracts";
import { bytesText } from "../render/units.js";
import { closedParent } from "../supervisor/directories.js";
import { isMissing } from "../system-errors.js";
import { type Check, failed, ok, warning } from "./check.js";

/** The base images of both runtimes, and some functions. */
const LEAST_BYTES = 512 * MIB;
const COMFORTABLE_BYTES = 2048 * MIB;

/** Where everything is kept: can others search it, is it root's, is there room. */
export async function checkDataDirectory(settings: Pick<Settings, "dataDir">): Promise<readonly Check[]> {
	return [await place(settings), await room(settings.dataDir)];
}

async function place({ dataDir }: Pick<Settings, "dataDir">): Promise<Check> {
	const name = "data directory";
	const closed = await closedParent(dataDir);
	if (closed !== undefined)
		return failed(
			name,
			`${closed} isn't searchable for others, and sandboxes run as others.`,
			`chmod o+x ${closed}, or choose another --data.`,
		);
	const found = await ownerOf(dataDir);
	if (found === undefined) return ok(name, `${dataDir} isn't there yet; the first start makes it.`);
	if (!found.isDirectory) return failed(name, `${dataDir} is no directory.`, "Move it away, or choose another --data.");
	if (found.uid !== 0)
		return warning(name, `${dataDir} belongs to uid ${found.uid}.`, "The next start makes it root's: is it the right directory?");
	return ok(name, `${dataDir} is root's, and its parents can be searched.`);
}

async function ownerOf(path: string): Promise<{ readonly uid: number; readonly isDirectory: boolean } | undefined> {
	try {
		const found = await stat(path);
		return { uid: found.uid, isDirectory: found.isDirectory() };
	} catch (error) {
		if (isMissing(error)) return undefined;
		throw error;
	}
}

async function room(dataDir: string): Promise<Check> {
	const { bavail, bsize, files, ffree } = await fileSystemOf(dataDir);
	const free = bavail * bsize;
	const found = `${bytesText(free)} free for ${dataDir}.`;
	const mend = "Make room, or choose a --data on a larger disk.";
	if (free < LEAST_BYTES) return failed("disk space", found, mend);
	if (files > 0 && ffree === 0) return failed("disk space", `${dataDir} is on a file system without a free inode.`, mend);
	return free < COMFORTABLE_BYTES ? warning("disk space", found, mend) : ok("disk space", found);
}

/** Of the directory, or of the nearest one above that is there. */
async function fileSystemOf(path: string): Promise<StatsFs> {
	try {
		return await statfs(path);
	} catch (error) {
		if (!isMissing(error) || dirname(path) === path) throw error;
		return fileSystemOf(dirname(path));
	}
}
