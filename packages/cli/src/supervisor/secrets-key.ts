import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import type { Settings } from "@berth/config";
import { codeOf } from "../system-errors.js";

/** Makes the key that secrets are sealed with, the service user's alone, unless the operator has named one or it is there: it is never replaced. */
export async function ensureSecretsKey({ secretsKey, paths, serviceUid }: Settings): Promise<void> {
	if (secretsKey !== undefined) return;
	try {
		await using file = await open(paths.secretsKey, "wx", 0o600);
		await file.writeFile(`${randomBytes(32).toString("hex")}\n`);
		await file.chmod(0o600);
		if (process.getuid?.() === 0) await file.chown(serviceUid, serviceUid);
		await file.sync();
	} catch (error) {
		if (codeOf(error) !== "EEXIST") throw error;
	}
}
