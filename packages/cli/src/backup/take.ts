import { copyFile, link, lstat, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import type { Settings } from "@berth/config";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { requireEmbedded } from "./embedded.js";
import { DURABLE, FILES, INVENTORY, type Inventory, takeInventory } from "./inventory.js";
import { run } from "./run.js";
import { stagingIn } from "./staging.js";

/** Parts of the artifact store whose files never change under their name: a second name keeps them as they are. */
const LINKED = ["sources", "functions", "keys", "oci"] as const;
/** Those whose files are written under their name: what is being written is copied as it is, and nothing leads to it. */
const COPIED = ["queued", "results", "logs", "deliveries"] as const;
/** Made by every start. */
const REMADE = ["bases.json"];

/**
 * Writes everything of a stack that can't be made again, while it runs or not: to a directory, or, when the name ends in `.tar`, to a
 * file. What the durable Redis names at its moment is in the backup: the artifact store is looked through before that moment and after it.
 */
export async function takeBackup(settings: Settings, target: string): Promise<Inventory> {
	requireEmbedded(settings);
	const place = resolve(target);
	if (await exists(place)) throw new CommandFailure(EXIT.failed, `${place} is there already: name a new file or directory`);
	await using staging = await stagingIn(settings.dataDir);
	const files = join(staging.path, FILES);
	await mkdir(files, { mode: 0o700 });
	// A body that waits at that moment may be taken the next.
	await add(join(settings.paths.artifacts, "queued"), join(files, "artifacts", "queued"), "copy");
	for (const round of ["before", "after"]) {
		for (const part of LINKED) await add(join(settings.paths.artifacts, part), join(files, "artifacts", part), "link");
		if (round === "before") await saveDurable(settings, join(files, DURABLE));
	}
	for (const part of COPIED) await add(join(settings.paths.artifacts, part), join(files, "artifacts", part), "copy");
	for (const entry of await readdir(settings.dataDir, { withFileTypes: true })) {
		if (entry.isFile() && !REMADE.includes(entry.name)) await copyFile(join(settings.dataDir, entry.name), join(files, entry.name));
	}
	const inventory = await takeInventory(files);
	await writeFile(join(staging.path, INVENTORY), JSON.stringify(inventory), { mode: 0o600 });
	await put(staging.path, place);
	return inventory;
}

/** A running server writes its whole state as of one moment; of a stack that is down it is started for that. */
async function saveDurable({ paths }: Settings, target: string): Promise<void> {
	try {
		await run("redis-cli", ["-s", paths.durableSocket, "--rdb", target]);
	} catch (cause) {
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

/** What was there before and is written anew meanwhile, is taken anew. */
async function add(from: string, to: string, how: "link" | "copy"): Promise<void> {
	await mkdir(to, { recursive: true, mode: 0o700 });
	for (const entry of await readdir(from, { withFileTypes: true })) {
		const [source, target] = [join(from, entry.name), join(to, entry.name)];
		if (entry.isDirectory()) await add(source, target, how);
		else await one(source, target, how).catch(ignoreMissing);
	}
}

async function one(source: string, target: string, how: "link" | "copy"): Promise<void> {
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
async function put(staging: string, place: string): Promise<void> {
	const unfinished = `${place}.unfinished`;
	await rm(unfinished, { recursive: true, force: true });
	try {
		await mkdir(dirname(place), { recursive: true });
		if (place.endsWith(".tar")) {
			// Nobody else's to read: keys are in it.
			await writeFile(unfinished, "", { mode: 0o600 });
			await run("tar", ["--create", "--file", unfinished, "--directory", staging, INVENTORY, FILES]);
		} else {
			await mkdir(unfinished, { mode: 0o700 });
			await run("cp", ["--archive", join(staging, INVENTORY), join(staging, FILES), unfinished]);
		}
		await run("sync", ["--file-system", unfinished]);
		await rename(unfinished, place);
	} catch (cause) {
		await rm(unfinished, { recursive: true, force: true });
		throw new CommandFailure(EXIT.failed, `The backup can't be written to ${place}: ${(cause as Error).message}`, { cause });
	}
}

async function exists(path: string): Promise<boolean> {
	return (await lstat(path).catch(ignoreMissing)) !== undefined;
}
