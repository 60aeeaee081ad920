import { type FileHandle, open, rename, stat } from "node:fs/promises";
import { join } from "node:path";
import { MIB } from "@berth/contracts";
import { isMissing } from "../system-errors.js";

/** A log larger than this when it is opened becomes `<name>.log.1`, in the place of the one before. */
const ROTATE_BYTES = 16 * MIB;
const TAIL_BYTES = 8 * 1024;

export const logPath = (directory: string, name: string) => join(directory, `${name}.log`);

/** Opens a process's log to append to it. Whoever opens it closes it. */
export async function openLog(directory: string, name: string, rotateBytes = ROTATE_BYTES): Promise<FileHandle> {
	const path = logPath(directory, name);
	if ((await sizeOf(path)) > rotateBytes) await rename(path, `${path}.1`);
	return open(path, "a", 0o640);
}

/** The last lines of a log, at most `count`. */
export async function tailOfLog(directory: string, name: string, count: number): Promise<readonly string[]> {
	const path = logPath(directory, name);
	const size = await sizeOf(path);
	if (size === 0) return [];
	await using file = await open(path, "r");
	const length = Math.min(size, TAIL_BYTES);
	const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
	return buffer.toString("utf8", 0, bytesRead).trimEnd().split("\n").slice(-count);
}

async function sizeOf(path: string): Promise<number> {
	try {
		return (await stat(path)).size;
	} catch (error) {
		if (isMissing(error)) return 0;
		throw error;
	}
}
