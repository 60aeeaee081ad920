import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { link, open, rm } from "node:fs/promises";
import process from "node:process";
import type { Settings } from "@berth/config";
import { codeOf } from "../system-errors.js";

/**
 * Makes the key that secrets are sealed with, the service user's alone, unless the operator has named one or it is there: it is
 * never replaced, though one that was put there by hand becomes the service user's, too. It gets its name when it is on disk.
 */
export async function ensureSecretsKey({ secretsKey, paths, serviceUid }: Settings): Promise<void> {
	if (secretsKey !== undefined) return;
	const unfinished = `${paths.secretsKey}.${process.pid}`;
	try {
		{
			await using file = await open(unfinished, "w", 0o600);
			await file.writeFile(`${randomBytes(32).toString("hex")}\n`);
			await file.chmod(0o600);
			if (process.getuid?.() === 0) await file.chown(serviceUid, serviceUid);
			await file.sync();
		}
		await link(unfinished, paths.secretsKey);
	} catch (error) {
		if (codeOf(error) !== "EEXIST") throw error;
		await giveTo(serviceUid, paths.secretsKey);
	} finally {
		await rm(unfinished, { force: true });
	}
}

async function giveTo(serviceUid: number, path: string): Promise<void> {
	await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
	await file.chmod(0o600);
	if (process.getuid?.() === 0) await file.chown(serviceUid, serviceUid);
}
