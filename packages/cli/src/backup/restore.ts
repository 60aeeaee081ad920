import { chmod, chown, lstat, mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Settings } from "@berth/config";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { prepareDirectories } from "../supervisor/directories.js";
import { takeLock } from "../supervisor/lock.js";
import { requireNone } from "../supervisor/obstacle.js";
import { placeObstacle } from "../supervisor/place.js";
import { fileFault, isMissing, messageOf } from "../system-errors.js";
import { requireEmbedded } from "./embedded.js";
import { BACKUP_FORMAT, DURABLE, FILES, INVENTORY, type Inventory, verify } from "./inventory.js";
import { run } from "./run.js";
import { keysOf, type SealedSecret, unopenable } from "./sealed-secrets.js";
import { stagingIn } from "./staging.js";

/** How Redis 7 keeps an append-only file: a base, here the RDB file, and a list of the parts. */
const AOF = { directory: "appendonlydir", base: "appendonly.aof.1.base.rdb", list: "appendonly.aof.manifest" } as const;

/** What is restored, and what nothing here opens. */
export interface Restored {
	readonly inventory: Inventory;
	readonly unopenable: readonly SealedSecret[];
	/** Of the keys that are here (`sealingKeyId`). */
	readonly keyIds: readonly string[];
}

/**
 * Makes a data directory what a backup says, for a stack that isn't up. Everything is checked before anything is changed.
 * @param force whether what is in the data directory goes
 * @throws CommandFailure
 */
export async function restoreBackup(settings: Settings, source: string, force: boolean, signal?: AbortSignal): Promise<Restored> {
	requireEmbedded(settings);
	await requireSource(source);
	requireNone(await placeObstacle(settings));
	const made = await firstMissing(settings.dataDir);
	await prepareDirectories(settings);
	await using _lock = await takeLock(settings.paths);
	try {
		return await restoreInto(settings, resolve(source), force, signal);
	} catch (error) {
		// Nothing was restored, and nothing stays of what was made for it; it is still locked.
		if (made !== undefined) await rm(made, { recursive: true, force: true });
		throw error;
	}
}

async function restoreInto(settings: Settings, source: string, force: boolean, signal?: AbortSignal): Promise<Restored> {
	const held = await heldIn(settings);
	if (held !== undefined && !force)
		throw new CommandFailure(
			EXIT.failed,
			`${settings.dataDir} isn't empty (${held}): --force replaces what is in it, --data names another`,
		);
	await using staging = await stagingIn(settings.dataDir);
	// Whether it can be restored at all is asked before gigabytes are moved.
	await fetch(source, INVENTORY, staging.path, signal);
	const inventory = await readInventory(join(staging.path, INVENTORY));
	await fetch(source, FILES, staging.path, signal);
	const files = join(staging.path, FILES);
	await verify(inventory, files, signal);
	await own(inventory, files, settings.serviceUid);
	await replace(files, settings);
	return { inventory, unopenable: await unopenable(inventory.sealed ?? [], settings), keyIds: [...(await keysOf(settings)).keys()] };
}

async function requireSource(source: string): Promise<void> {
	try {
		if (source === "") throw new CommandFailure(EXIT.usage, "the backup to restore has no name");
		await lstat(source);
	} catch (error) {
		if (error instanceof CommandFailure) throw error;
		throw new CommandFailure(EXIT.failed, `${resolve(source)} can't be restored: ${fileFault(error)}`, { cause: error });
	}
}

/** The topmost of a path's directories that isn't there; undefined when all of them are. */
async function firstMissing(path: string): Promise<string | undefined> {
	let missing: string | undefined;
	for (let each = path; ; each = dirname(each)) {
		const found = await lstat(each).catch((error: unknown) => {
			if (!isMissing(error)) throw error;
		});
		if (found !== undefined) return missing;
		missing = each;
	}
}

/** What a stack has left here, if one has. */
async function heldIn({ paths }: Settings): Promise<string | undefined> {
	for (const path of [paths.durableRedis, join(paths.artifacts, "oci")]) {
		const [name] = await readdir(path).catch(() => []);
		if (name !== undefined) return path;
	}
	return undefined;
}

async function fetch(source: string, part: string, target: string, signal?: AbortSignal): Promise<void> {
	try {
		if ((await lstat(source)).isDirectory()) await run("cp", ["--archive", "--reflink=auto", join(source, part), target], signal);
		else await run("tar", ["--extract", "--occurrence=1", "--no-seek", "--file", source, "--directory", target, part], signal);
	} catch (cause) {
		signal?.throwIfAborted();
		throw new CommandFailure(EXIT.failed, `${source} can't be read as a backup: ${messageOf(cause)}`, { cause });
	}
}

async function readInventory(path: string): Promise<Inventory> {
	let inventory: Inventory;
	try {
		inventory = JSON.parse(await readFile(path, "utf8")) as Inventory;
	} catch (cause) {
		throw new CommandFailure(EXIT.failed, `It is no backup of Berth's: ${messageOf(cause)}`, { cause });
	}
	if (inventory.format === BACKUP_FORMAT && Array.isArray(inventory.files)) {
		const has = (what: string) => inventory.files.some(({ path }) => path === what || path.startsWith(`${what}/`));
		for (const part of [DURABLE, "artifacts"])
			if (!has(part)) throw new CommandFailure(EXIT.failed, `The backup is damaged: ${part} isn't in it. Nothing was restored.`);
		return inventory;
	}
	throw new CommandFailure(
		EXIT.failed,
		`The backup has format ${JSON.stringify(inventory.format)}, and this Berth reads ${BACKUP_FORMAT}: restore it with the Berth that made it, or a newer one`,
	);
}

/** Owners by name, as the service user may have another number here. */
async function own({ files }: Inventory, root: string, serviceUid: number): Promise<void> {
	for (const { path, mode, owner } of files) {
		const uid = owner === "root" ? 0 : serviceUid;
		await chown(join(root, path), uid, uid);
		await chmod(join(root, path), mode);
	}
	const directories = (await readdir(root, { recursive: true, withFileTypes: true })).filter((entry) => entry.isDirectory());
	for (const { parentPath, name } of directories) {
		await chown(join(parentPath, name), serviceUid, serviceUid);
		await chmod(join(parentPath, name), 0o755);
	}
}

/** The artifact store first: a start that finds images and no records says so, and loses nothing. */
async function replace(files: string, settings: Settings): Promise<void> {
	const { paths, dataDir, serviceUid } = settings;
	const redis = dirname(paths.durableRedis);
	for (const path of [redis, paths.artifacts]) await rm(path, { recursive: true, force: true });
	await rename(join(files, "artifacts"), paths.artifacts);
	const aof = join(files, AOF.directory);
	await mkdir(aof, { mode: 0o700 });
	await rename(join(files, DURABLE), join(aof, AOF.base));
	await writeFile(join(aof, AOF.list), `file ${AOF.base} seq 1 type b\n`, { mode: 0o600 });
	for (const path of [aof, join(aof, AOF.base), join(aof, AOF.list)]) await chown(path, serviceUid, serviceUid);
	await prepareDirectories(settings);
	await rename(aof, join(paths.durableRedis, AOF.directory));
	for (const entry of await readdir(files)) await rename(join(files, entry), join(dataDir, entry));
	await run("sync", ["--file-system", dataDir]);
}
