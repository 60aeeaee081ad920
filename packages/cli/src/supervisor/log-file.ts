import { copyFile, type FileHandle, open, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { Writable } from "node:stream";
import { MIB } from "@berth/contracts";
import { isMissing } from "../system-errors.js";

/** A log larger than this, when it is opened or while it is written, becomes `<name>.log.1`, in the place of the one before. */
const ROTATE_BYTES = 16 * MIB;
const TAIL_BYTES = 8 * 1024;

export const logPath = (directory: string, name: string) => join(directory, `${name}.log`);

/** Opens a process's log to append to it. Whoever opens it closes it. */
export async function openLog(directory: string, name: string, rotateBytes = ROTATE_BYTES): Promise<FileHandle> {
	const path = logPath(directory, name);
	const file = await open(path, "a", 0o640);
	try {
		await putAside(file, path, rotateBytes);
		return file;
	} catch (error) {
		await file.close();
		throw error;
	}
}

/** An open log as a stream that never lets it grow far beyond the bound. It closes the file when it ends. */
export function logSink(file: FileHandle, path: string, rotateBytes = ROTATE_BYTES): Writable {
	const append = async (chunk: Buffer) => {
		await file.appendFile(chunk);
		await putAside(file, path, rotateBytes);
	};
	return new Writable({
		write: (chunk: Buffer, _encoding, done) => void append(chunk).then(() => done(), done),
		destroy: (error, done) => void file.close().then(() => done(error), done),
	});
}

/**
 * Copied and emptied rather than renamed: a process's stderr is the same open file, and would go on in the old one.
 * What it says between the two is lost.
 */
async function putAside(file: FileHandle, path: string, rotateBytes: number): Promise<void> {
	if ((await file.stat()).size <= rotateBytes) return;
	// Where a disk has no room for two, the log goes on without the old one.
	await copyFile(path, `${path}.1`).catch(() => rm(`${path}.1`, { force: true }));
	await file.truncate();
}

/**
 * The last lines of a log, at most `count`.
 * @param from bytes that were there before: they aren't of it, unless the log has been put aside since
 */
export async function tailOfLog(directory: string, name: string, count: number, from = 0): Promise<readonly string[]> {
	const path = logPath(directory, name);
	const size = await sizeOf(path);
	const length = Math.min(size >= from ? size - from : size, TAIL_BYTES);
	if (length === 0) return [];
	await using file = await open(path, "r");
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
