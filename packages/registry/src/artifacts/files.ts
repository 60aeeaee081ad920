import { randomUUID } from "node:crypto";
import { access, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { dirname, join } from "node:path";

const TEMPORARY = ".incoming-";

/** Writes a file whole or not at all, and durably: temporary name, fsync, rename, fsync of the directory. */
export async function writeDurably(path: string, bytes: Uint8Array): Promise<void> {
	const temporary = join(dirname(path), TEMPORARY + randomUUID());
	try {
		await using file = await open(temporary, "wx", 0o644);
		await file.writeFile(bytes);
		await file.sync();
	} catch (error) {
		await rm(temporary, { force: true });
		throw error;
	}
	await publish(temporary, path);
}

/** Gives a finished temporary file its name. */
export async function publish(temporary: string, path: string): Promise<void> {
	await rename(temporary, path);
	await using directory = await open(dirname(path), "r");
	await directory.sync();
}

export function temporaryIn(directory: string): string {
	return join(directory, TEMPORARY + randomUUID());
}

/** Makes a directory and removes what an interrupted write left in it. */
export async function openDirectory(directory: string): Promise<void> {
	await mkdir(directory, { recursive: true, mode: 0o755 });
	for (const name of await readdir(directory)) {
		if (name.startsWith(TEMPORARY)) await rm(join(directory, name));
	}
}

export async function isThere(path: string): Promise<boolean> {
	try {
		await access(path);
		return true;
	} catch {
		return false;
	}
}
