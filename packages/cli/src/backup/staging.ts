import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";

/** A directory that is only for now. Disposing of it removes it. */
export interface Staging extends AsyncDisposable {
	readonly path: string;
}

/** One in the file system of a data directory: files get second names there, and are moved from there. What an earlier one left goes. */
export async function stagingIn(dataDir: string): Promise<Staging> {
	const path = join(dataDir, "backup.tmp");
	const remove = () => rm(path, { recursive: true, force: true });
	await remove();
	await mkdir(path, { mode: 0o700 });
	return { path, [Symbol.asyncDispose]: remove };
}
