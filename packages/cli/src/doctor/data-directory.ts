import type { StatsFs } from "node:fs";
import { stat, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import type { Settings } from "@berth/config";
import { MIB } from "@berth/contracts";
import { bytesText } from "../render/units.js";
import { placeObstacle } from "../supervisor/place.js";
import { isMissing } from "../system-errors.js";
import { type Check, failed, ok, warning } from "./check.js";

/** The base images of both runtimes, and some functions. */
const LEAST_BYTES = 512 * MIB;
const COMFORTABLE_BYTES = 2048 * MIB;

/** Where everything is kept: can others search it, is it root's, is there room. */
export async function checkDataDirectory(settings: Pick<Settings, "dataDir" | "paths">): Promise<readonly Check[]> {
	return [await place(settings), await room(settings.dataDir)];
}

async function place(settings: Pick<Settings, "dataDir" | "paths">): Promise<Check> {
	const name = "data directory";
	const { dataDir } = settings;
	const obstacle = await placeObstacle(settings);
	if (obstacle !== undefined) return failed(name, `${obstacle.what}.`, `${obstacle.mend}.`);
	const owner = await ownerOf(dataDir);
	if (owner === undefined) return ok(name, `${dataDir} isn't there yet; the first start makes it.`);
	if (owner !== 0)
		return warning(name, `${dataDir} belongs to uid ${owner}.`, "The next start makes it root's: is it the right directory?");
	return ok(name, `${dataDir} is root's, and its parents can be searched.`);
}

async function ownerOf(path: string): Promise<number | undefined> {
	try {
		return (await stat(path)).uid;
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
