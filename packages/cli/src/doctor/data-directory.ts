import type { StatsFs } from "node:fs";
import { stat, statfs } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { nodeIdOf, type Settings } from "@berth/config";
import { MIB } from "@berth/contracts";
import { bytesText } from "../render/units.js";
import { isThere } from "../supervisor/node-id.js";
import { placeObstacle } from "../supervisor/place.js";
import { isMissing, messageOf } from "../system-errors.js";
import { type Check, failed, ok, warning } from "./check.js";

/** The base images of both runtimes, and some functions. */
const LEAST_BYTES = 512 * MIB;
const COMFORTABLE_BYTES = 2048 * MIB;

/** Where everything is kept: can others search it, is it root's, is there room. */
export async function checkDataDirectory(settings: Pick<Settings, "dataDir" | "paths" | "roles">): Promise<readonly Check[]> {
	return [await place(settings), ...(settings.roles.includes("worker") ? [await nodeId(settings)] : []), await room(settings.dataDir)];
}

/** As what `berth nodes` has this machine. */
async function nodeId(settings: Pick<Settings, "dataDir" | "paths">): Promise<Check> {
	const name = "node";
	const { nodeId: file, bases } = settings.paths;
	if (!(await isThere(file)) && !(await isThere(bases))) return ok(name, "This machine has no id yet; the first start makes it.");
	try {
		return ok(name, `This machine is ${nodeIdOf(settings)} in \`berth nodes\`, on the host ${hostname()}.`);
	} catch (error) {
		return failed(
			name,
			`${messageOf(error)}.`,
			"Put back its file, or remove it: the next start makes another id, which has none of the volumes.",
		);
	}
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
