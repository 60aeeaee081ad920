import { mkdir, readdir, rm } from "node:fs/promises";
import { join } from "node:path";
import process from "node:process";
import { codeOf, isMissing } from "../system-errors.js";

const NAME = /^backup\.tmp-(\d+)$/;

/** A directory that is only for now. Disposing of it removes it. */
export interface Staging extends AsyncDisposable {
	readonly path: string;
}

/** One in the file system of a data directory: files get second names there, and are moved from there. What one that was killed has left goes. */
export async function stagingIn(dataDir: string): Promise<Staging> {
	await clearStagings(dataDir);
	const path = join(dataDir, `backup.tmp-${process.pid}`);
	const remove = () => rm(path, { recursive: true, force: true });
	await remove();
	await mkdir(path, { mode: 0o700 });
	return { path, [Symbol.asyncDispose]: remove };
}

/** Removes what backups that were killed have left: second names that keep the bytes of what is removed meanwhile. */
export async function clearStagings(dataDir: string): Promise<void> {
	const names = await readdir(dataDir).catch((error: unknown) => {
		if (isMissing(error)) return [];
		throw error;
	});
	for (const name of names) {
		const [, pid] = NAME.exec(name) ?? [];
		if (pid !== undefined && !isRunning(Number(pid))) await rm(join(dataDir, name), { recursive: true, force: true });
	}
}

function isRunning(pid: number): boolean {
	try {
		return process.kill(pid, 0);
	} catch (error) {
		return codeOf(error) !== "ESRCH";
	}
}
