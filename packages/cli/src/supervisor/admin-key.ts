import { createHash, randomBytes } from "node:crypto";
import type { DataPaths } from "@berth/config";
import { readOwned, replaceFile } from "./owned-file.js";

const KEY = /^berth_[0-9A-Za-z_-]{43}$/;

/** The key of whoever runs the stack. */
export interface AdminKey {
	/** What the gateway knows of it: SHA-256, hex. */
	readonly sha256: string;
	/** The key itself, when it was made just now. */
	readonly made: string | null;
}

/**
 * The key that is kept in the data directory; a new one where there is none, or none that could be one. It is on disk
 * before anybody lets its holder in, so that no crash loses it.
 */
export async function ensureAdminKey(paths: DataPaths): Promise<AdminKey> {
	const kept = await readAdminKey(paths);
	if (kept !== undefined && KEY.test(kept)) return { sha256: sha256Of(kept), made: null };
	const made = `berth_${randomBytes(32).toString("base64url")}`;
	await storeAdminKey(paths, made);
	return { sha256: sha256Of(made), made };
}

/** Keeps a key for root's command line. */
export async function storeAdminKey(paths: DataPaths, key: string): Promise<void> {
	await replaceFile(paths.adminKey, `${key}\n`, 0o600);
}

/** The key that was kept, if any. @throws Error EACCES for anybody but root */
export async function readAdminKey(paths: DataPaths): Promise<string | undefined> {
	return (await readOwned(paths.adminKey))?.trim();
}

function sha256Of(key: string): string {
	return createHash("sha256").update(key).digest("hex");
}
