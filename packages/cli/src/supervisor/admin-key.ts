import type { DataPaths } from "@berth/config";
import { readOwned, replaceFile } from "./owned-file.js";

/** Keeps the first API key for root's command line. */
export async function storeAdminKey(paths: DataPaths, key: string): Promise<void> {
	await replaceFile(paths.adminKey, `${key}\n`, 0o600);
}

/** The key that was kept, if any. @throws Error EACCES for anybody but root */
export async function readAdminKey(paths: DataPaths): Promise<string | undefined> {
	return (await readOwned(paths.adminKey))?.trim();
}
