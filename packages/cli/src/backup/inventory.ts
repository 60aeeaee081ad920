import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { CommandFailure, EXIT } from "../exit-codes.js";
import type { SealedSecret } from "./sealed-secrets.js";

/** Raised when an older Berth couldn't restore what a newer one writes. */
export const BACKUP_FORMAT = 1;
/** The inventory's file in a backup; all others are below `FILES`. */
export const INVENTORY = "backup.json";
export const FILES = "files";
/** The durable Redis as an RDB file. */
export const DURABLE = "durable.rdb";

/** A file of a backup, by its path below the data directory. */
export interface BackupFile {
	readonly path: string;
	readonly sizeBytes: number;
	readonly sha256: string;
	readonly mode: number;
	/** Whose it is to be; the service user's number may be another one elsewhere. */
	readonly owner: "root" | "service";
}

export interface Inventory {
	readonly format: number;
	/** ISO 8601. */
	readonly createdAt: string;
	/** Secrets among the records, whose key is kept apart. Older backups don't say. */
	readonly sealed?: readonly SealedSecret[];
	readonly files: readonly BackupFile[];
}

/** Every file below a directory, with its digest. @throws CommandFailure for what is neither file nor directory */
export async function takeInventory(root: string, signal?: AbortSignal): Promise<Inventory> {
	const files: BackupFile[] = [];
	for (const path of await filesBelow(root)) {
		signal?.throwIfAborted();
		const { size, mode, uid } = await lstat(join(root, path));
		const sha256 = await sha256Of(join(root, path));
		files.push({ path, sizeBytes: size, sha256, mode: mode & 0o777, owner: uid === 0 ? "root" : "service" });
	}
	return { format: BACKUP_FORMAT, createdAt: new Date().toISOString(), files };
}

/** Holds an inventory against what is there. @throws CommandFailure naming the first file that is missing, too many or another one */
export async function verify(inventory: Inventory, root: string, signal?: AbortSignal): Promise<void> {
	const there = new Set(await filesBelow(root));
	for (const { path, sizeBytes, sha256 } of inventory.files) {
		signal?.throwIfAborted();
		if (!there.delete(path)) throw damaged(`${path} is missing`);
		const found = await lstat(join(root, path));
		if (found.size !== sizeBytes) throw damaged(`${path} has ${found.size} bytes, not ${sizeBytes}`);
		if ((await sha256Of(join(root, path))) !== sha256) throw damaged(`the bytes of ${path} aren't those that were saved`);
	}
	const [foreign] = there;
	if (foreign !== undefined) throw damaged(`${foreign} isn't in its inventory`);
}

async function filesBelow(root: string, below = ""): Promise<string[]> {
	const found: string[] = [];
	for (const entry of await readdir(join(root, below), { withFileTypes: true })) {
		const path = join(below, entry.name);
		if (entry.isDirectory()) found.push(...(await filesBelow(root, path)));
		else if (entry.isFile()) found.push(path);
		else throw damaged(`${path} is neither file nor directory`);
	}
	return found.sort();
}

async function sha256Of(path: string): Promise<string> {
	const hash = createHash("sha256");
	for await (const piece of createReadStream(path, { highWaterMark: 1024 * 1024 })) hash.update(piece as Buffer);
	return hash.digest("hex");
}

function damaged(what: string): CommandFailure {
	return new CommandFailure(EXIT.failed, `The backup is damaged: ${what}. Nothing was restored.`);
}
