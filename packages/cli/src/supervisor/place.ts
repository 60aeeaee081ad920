import { constants } from "node:fs";
import { access, lstat, readdir, realpath, stat } from "node:fs/promises";
import { basename, dirname, relative, sep } from "node:path";
import type { DataPaths, Settings } from "@berth/config";
import { codeOf, isMissing } from "../system-errors.js";
import type { Obstacle } from "./obstacle.js";

const OTHERS_EXECUTE = 0o001;
/** In every file system's root, whatever it is for. */
const LOST_AND_FOUND = "lost+found";
const ANOTHER = "--data names another directory";

/** What keeps a path from being a data directory; undefined when it can be, or is, one. Nothing is changed. */
export async function placeObstacle(settings: Pick<Settings, "dataDir" | "paths">): Promise<Obstacle | undefined> {
	return (await parentObstacle(settings.dataDir)) ?? (await ownObstacle(settings));
}

/** Of the first directory above it that won't do. */
async function parentObstacle(path: string): Promise<Obstacle | undefined> {
	const parents: string[] = [];
	for (let each = dirname(path); parents.at(-1) !== each; each = dirname(each)) parents.push(each);
	for (const parent of parents.reverse()) {
		const found = await orMissing(stat(parent));
		// Below what isn't there yet, all will be made.
		if (found === undefined) return undefined;
		if (!found.isDirectory()) return { what: `${parent} is no directory, and the data directory would be in it`, mend: ANOTHER };
		if ((found.mode & OTHERS_EXECUTE) === 0)
			return { what: `${parent} isn't searchable for others, and sandboxes run as others`, mend: `chmod o+x ${parent}, or ${ANOTHER}` };
	}
	return undefined;
}

/** Of the directory itself, should there be one. */
async function ownObstacle({ dataDir, paths }: Pick<Settings, "dataDir" | "paths">): Promise<Obstacle | undefined> {
	const found = await orMissing(lstat(dataDir));
	if (found === undefined) return undefined;
	if (found.isSymbolicLink()) {
		const target = await orMissing(realpath(dataDir));
		return { what: `${dataDir} is a symbolic link`, mend: target === undefined ? ANOTHER : `--data ${target} names what it points to` };
	}
	if (!found.isDirectory()) return { what: `${dataDir} is no directory`, mend: ANOTHER };
	// What isn't root's to read is for root to find out.
	if (!(await isReadable(dataDir))) return undefined;
	const foreign = await foreignIn(dataDir, paths);
	return foreign === undefined
		? undefined
		: { what: `${dataDir} is no data directory of Berth's, and isn't empty (${foreign})`, mend: ANOTHER };
}

/**
 * A name of somebody else's in a directory that Berth has never used: its owner and mode aren't to be changed. Whoever
 * puts a file of theirs into a data directory is left alone.
 */
async function foreignIn(dataDir: string, paths: DataPaths): Promise<string | undefined> {
	const names = await readdir(dataDir);
	if (names.includes(basename(paths.launcher))) return undefined;
	const ours = Object.values(paths).map((path) => relative(dataDir, path).split(sep)[0]);
	return names.find((name) => name !== LOST_AND_FOUND && !ours.includes(name));
}

async function isReadable(path: string): Promise<boolean> {
	try {
		await access(path, constants.R_OK);
		return true;
	} catch (error) {
		if (codeOf(error) === "EACCES") return false;
		throw error;
	}
}

async function orMissing<T>(looked: Promise<T>): Promise<T | undefined> {
	try {
		return await looked;
	} catch (error) {
		if (isMissing(error)) return undefined;
		throw error;
	}
}
