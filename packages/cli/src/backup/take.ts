import { copyFile, link, lstat, mkdir, readdir, realpath, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, relative, resolve } from "node:path";
import type { Settings } from "@berth/config";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { requireEmbedded } from "./embedded.js";
import { DURABLE, FILES, INVENTORY, type Inventory, takeInventory } from "./inventory.js";
import { run } from "./run.js";
import { sealedSecrets } from "./sealed-secrets.js";
import { stagingIn } from "./staging.js";

/** Parts of the artifact store whose files never change under their name: a second name keeps them as they are. */
const LINKED = ["sources", "functions", "keys", "oci"] as const;
/** Those whose files are written under their name: what is being written is copied as it is, and nothing leads to it. */
const COPIED = ["queued", "results", "logs", "deliveries"] as const;
/** Made by every start, and the id as a node, which another machine with this backup mustn't have, too. */
const REMADE = ["bases.json", "node.id"];

/**
 * Writes everything of a stack that can't be made again, while it runs or not: to a directory, or, when the name ends in `.tar`, to a
 * file. What the durable Redis names at its moment is in the backup: the artifact store is looked through before that moment and after it.
 */
export async function takeBackup(settings: Settings, target: string, signal?: AbortSignal): Promise<Inventory> {
	requireEmbedded(settings);
	const place = await placeOf(target, settings.dataDir);
	await using staging = await stagingIn(settings.dataDir);
	const files = join(staging.path, FILES);
	await mkdir(files, { mode: 0o700 });
	const links = { how: "link", signal } as const;
	const copies = { how: "copy", signal } as const;
	// A body that waits at that moment may be taken the next.
	await add(join(settings.paths.artifacts, "queued"), join(files, "artifacts", "queued"), copies);
	for (const round of ["before", "after"]) {
		for (const part of LINKED) await add(join(settings.paths.artifacts, part), join(files, "artifacts", part), links);
		if (round === "before") await saveDurable(settings, join(files, DURABLE), signal);
	}
	for (const part of COPIED) await add(join(settings.paths.artifacts, part), join(files, "artifacts", part), copies);
	const left = [...REMADE, ...keysOf(settings)];
	for (const entry of await readdir(settings.dataDir, { withFileTypes: true })) {
		if (entry.isFile() && !left.includes(entry.name)) await copyFile(join(settings.dataDir, entry.name), join(files, entry.name));
	}
	const inventory = { ...(await takeInventory(files, signal)), sealed: await sealedSecrets(settings) };
	await writeFile(join(staging.path, INVENTORY), JSON.stringify(inventory), { mode: 0o600 });
	await put(staging.path, place, signal);
	return inventory;
}

/** What opens a stack, or its secrets: whoever keeps backups isn't to have them with it. */
function keysOf({ paths }: Settings): readonly string[] {
	return [basename(paths.adminKey), basename(paths.secretsKey)];
}

/** Where the backup is to be. @throws CommandFailure when it can't be there */
async function placeOf(target: string, dataDir: string): Promise<string> {
	if (target === "") throw new CommandFailure(EXIT.usage, "the backup has no name: name a new file or directory");
	const place = resolve(target);
	const parent = await realpath(dirname(place)).catch(ignoreMissing);
	if (parent === undefined) throw new CommandFailure(EXIT.failed, `there is no directory ${dirname(place)} for the backup: make it first`);
	if (await exists(place)) throw new CommandFailure(EXIT.failed, `${place} is there already: name a new file or directory`);
	const below = relative(await realpath(dataDir), join(parent, basename(place)));
	if (below !== ".." && !below.startsWith("../"))
		throw new CommandFailure(EXIT.failed, `${place} is in the data directory that is to be saved: name a place outside ${dataDir}`);
	return place;
}

/** A running server writes its whole state as of one moment; of a stack that is down it is started for that. */
async function saveDurable({ paths }: Settings, target: string, signal?: AbortSignal): Promise<void> {
	try {
		await run("redis-cli", ["-s", paths.durableSocket, "--rdb", target], signal);
	} catch (cause) {
		signal?.throwIfAborted();
		const why = (cause as Error).message;
		throw new CommandFailure(
			EXIT.failed,
			`The durable Redis can't be read (${why}). A backup is taken of a stack that is up: \`berth up\` first.`,
			{
				cause,
			},
		);
	}
}

interface Adding {
	readonly how: "link" | "copy";
	readonly signal: AbortSignal | undefined;
}

/** What was there before and is written anew meanwhile, is taken anew. */
async function add(from: string, to: string, adding: Adding): Promise<void> {
	adding.signal?.throwIfAborted();
	await mkdir(to, { recursive: true, mode: 0o700 });
	for (const entry of await readdir(from, { withFileTypes: true })) {
		const [source, target] = [join(from, entry.name), join(to, entry.name)];
		if (entry.isDirectory()) await add(source, target, adding);
		else await one(source, target, adding.how).catch(ignoreMissing);
	}
}

async function one(source: string, target: string, how: Adding["how"]): Promise<void> {
	if (how === "copy") return await copyFile(source, target);
	const [now, before] = await Promise.all([lstat(source), lstat(target).catch(ignoreMissing)]);
	if (now.ino === before?.ino) return;
	await rm(target, { force: true });
	await link(source, target);
}

/** What was removed since it was listed isn't needed. */
function ignoreMissing(error: unknown): undefined {
	if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
	throw error;
}

/** Whole or not at all: under another name first. */
async function put(staging: string, place: string, signal?: AbortSignal): Promise<void> {
	const unfinished = `${place}.unfinished`;
	await rm(unfinished, { recursive: true, force: true });
	try {
		if (place.endsWith(".tar")) {
			// Nobody else's to read: whatever functions hold is in it.
			await writeFile(unfinished, "", { mode: 0o600 });
			await run("tar", ["--create", "--file", unfinished, "--directory", staging, INVENTORY, FILES], signal);
		} else {
			await mkdir(unfinished, { mode: 0o700 });
			await run("cp", ["--archive", join(staging, INVENTORY), join(staging, FILES), unfinished], signal);
		}
		await run("sync", ["--file-system", unfinished], signal);
		await rename(unfinished, place);
	} catch (cause) {
		await rm(unfinished, { recursive: true, force: true });
		signal?.throwIfAborted();
		throw new CommandFailure(EXIT.failed, `The backup can't be written to ${place}: ${(cause as Error).message}`, { cause });
	}
}

async function exists(path: string): Promise<boolean> {
	return (await lstat(path).catch(ignoreMissing)) !== undefined;
}
