import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { link, open, readFile, rm } from "node:fs/promises";
import process from "node:process";
import type { Settings } from "@berth/config";
import { sealingKeyFault } from "@berth/contracts";
import { anotherKeyIn } from "../another-key.js";
import { sealedSecrets } from "../backup/sealed-secrets.js";
import { codeOf, isMissing } from "../system-errors.js";
import { type Obstacle, requireNone } from "./obstacle.js";
import { otherMachines } from "./other-machines.js";

/** What is wrong with the file of the key, should it be there and be the one that counts. What stands in it isn't said. */
export async function secretsKeyObstacle({ secretsKey, paths }: Pick<Settings, "secretsKey" | "paths">): Promise<Obstacle | undefined> {
	if (secretsKey !== undefined) return undefined;
	const text = await keyText(paths.secretsKey);
	const fault = text === undefined ? undefined : sealingKeyFault(text);
	return fault === undefined ? undefined : { what: `${paths.secretsKey}, ${fault}`, mend: "put back the copy" };
}

/** Of other machines so many are named. */
const MOST_NAMED = 3;

/**
 * What keeps a new key from being made: other machines of the stack, which seal with theirs, or secrets that the durable Redis has already, and that it
 * couldn't open. Asks the Redis servers, where the key is missing alone.
 */
export async function missingKeyObstacle(settings: Settings): Promise<Obstacle | undefined> {
	const { secretsKey, paths, hasPeers } = settings;
	if (secretsKey !== undefined || (await keyText(paths.secretsKey)) !== undefined) return undefined;
	const missing = `the key that all machines of the stack seal secrets with isn't here: BERTH_SECRETS_KEY isn't set, and ${paths.secretsKey} is missing`;
	const others = await otherMachines(settings);
	// Never another key: what this machine sealed they couldn't open, nor it what they did.
	if (others.length > 0) return { what: missing, mend: `the stack is up on ${named(others)}; ${copyTo(paths.secretsKey)}` };
	const { length } = await sealedSecrets(settings);
	if (length > 0) {
		const what = length === 1 ? "1 record is" : `${length} records are`;
		return {
			what: `${what} sealed with a key that isn't here, and ${paths.secretsKey} is missing`,
			mend: `put it back (or set BERTH_SECRETS_KEY)${hasPeers ? `, or ${copyTo(paths.secretsKey)}` : ""}; or, to give up what is sealed, make another: ${anotherKeyIn(paths.secretsKey)}`,
		};
	}
	if (!hasPeers) return undefined;
	return { what: missing, mend: `${copyTo(paths.secretsKey)}; for a new stack, make one key for all of them: openssl rand -hex 32` };
}

function named(machines: readonly string[]): string {
	const more = machines.length - MOST_NAMED;
	return `${machines.slice(0, MOST_NAMED).join(", ")}${more > 0 ? `, and ${more} more` : ""}`;
}

function copyTo(file: string): string {
	return `copy the key of a machine of the stack: the file secrets.key in its data directory (/var/lib/berth, unless --data says another) to ${file}, or what BERTH_SECRETS_KEY says there to BERTH_SECRETS_KEY here`;
}

/**
 * Makes the key that secrets are sealed with, the service user's alone, unless the operator has named one or it is there: it is
 * never replaced, though one that was put there by hand becomes the service user's, too. It gets its name when it is on disk.
 * Once the Redis servers answer. @throws CommandFailure as `missingKeyObstacle` has it
 */
export async function ensureSecretsKey(settings: Settings): Promise<void> {
	const { secretsKey, paths, serviceUid } = settings;
	if (secretsKey !== undefined) return;
	requireNone(await missingKeyObstacle(settings));
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

async function keyText(path: string): Promise<string | undefined> {
	try {
		return await readFile(path, "utf8");
	} catch (error) {
		if (isMissing(error)) return undefined;
		throw error;
	}
}

async function giveTo(serviceUid: number, path: string): Promise<void> {
	await using file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW);
	await file.chmod(0o600);
	if (process.getuid?.() === 0) await file.chown(serviceUid, serviceUid);
}
