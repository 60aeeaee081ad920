import { randomUUID } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, open, rename, rm } from "node:fs/promises";
import { isMissing } from "../system-errors.js";

/** A file that root would act upon isn't root's. */
export class ForeignFileError extends Error {
	override readonly name = "ForeignFileError";
}

/**
 * Reads a file that must belong to root or to us: others may write next to it.
 * @returns undefined when there is none
 * @throws ForeignFileError when somebody else made it
 */
export async function readOwned(path: string): Promise<string | undefined> {
	try {
		await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
		await requireOwned(file, path);
		return await file.readFile("utf8");
	} catch (error) {
		if (isMissing(error)) return undefined;
		throw error;
	}
}

/** @throws ForeignFileError when somebody else made it */
export async function requireOwned(file: FileHandle, path: string): Promise<void> {
	const { uid } = await file.stat();
	if (uid !== 0 && uid !== process.getuid?.()) throw new ForeignFileError(`${path} belongs to uid ${uid}, not to root: remove it`);
}

/**
 * Leaves a file to its owner alone, should it be there.
 * @returns the mode that it had, where that let others in
 */
export async function closeToOthers(path: string): Promise<number | undefined> {
	try {
		await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
		const mode = modeForOthers(await file.stat());
		if (mode !== undefined) await file.chmod(0o600);
		return mode;
	} catch (error) {
		if (isMissing(error)) return undefined;
		throw error;
	}
}

/** A file's mode, where others than its owner may do something with it. */
export function modeForOthers({ mode }: Pick<Stats, "mode">): number | undefined {
	return (mode & 0o077) === 0 ? undefined : mode & 0o777;
}

/** Replaces a file as a whole: a reader sees the old content or the new. */
export async function replaceFile(path: string, content: string, mode: number): Promise<void> {
	const temporary = `${path}.${randomUUID()}`;
	try {
		await using file = await open(temporary, "wx", mode);
		await file.writeFile(content);
		await file.chmod(mode);
		await file.sync();
		await rename(temporary, path);
	} catch (error) {
		await rm(temporary, { force: true });
		throw error;
	}
}
