import { randomUUID } from "node:crypto";
import { link, rename, rm, writeFile } from "node:fs/promises";
import type { DataPaths } from "@berth/config";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { codeOf, isMissing } from "../system-errors.js";
import { readOwned } from "./owned-file.js";
import { identityOf, isRunning, type ProcessIdentity } from "./process-identity.js";

/** The right to supervise a data directory. Disposing of it gives it back. */
export interface SupervisorLock extends AsyncDisposable {
	readonly holder: ProcessIdentity;
}

/** Takes the lock, also from a supervisor that was killed. @throws CommandFailure when another supervisor runs */
export async function takeLock(paths: DataPaths): Promise<SupervisorLock> {
	const holder = await identityOf(process.pid);
	if (holder === undefined) throw new Error("/proc doesn't show this process");
	const claim = `${paths.supervisorLock}.${randomUUID()}`;
	await writeFile(claim, JSON.stringify(holder), { flag: "wx", mode: 0o644 });
	try {
		while (!(await linked(claim, paths.supervisorLock))) await clearStale(paths);
	} finally {
		await rm(claim, { force: true });
	}
	return { holder, [Symbol.asyncDispose]: () => rm(paths.supervisorLock, { force: true }) };
}

async function linked(claim: string, lock: string): Promise<boolean> {
	try {
		await link(claim, lock);
		return true;
	} catch (error) {
		if (codeOf(error) === "EEXIST") return false;
		throw error;
	}
}

/** Moves a dead supervisor's lock away. Whoever else does so at the same time finds out by what it moved. */
async function clearStale(paths: DataPaths): Promise<void> {
	const found = await readOwned(paths.supervisorLock);
	if (found === undefined) return;
	const other = JSON.parse(found) as ProcessIdentity;
	if (await isRunning(other)) {
		throw new CommandFailure(
			EXIT.failed,
			`a stack is up already in this data directory (supervisor ${other.pid}). \`berth down\` stops it.`,
		);
	}
	const aside = `${paths.supervisorLock}.${randomUUID()}`;
	try {
		await rename(paths.supervisorLock, aside);
		if ((await readOwned(aside)) !== found) await linked(aside, paths.supervisorLock);
	} catch (error) {
		if (!isMissing(error)) throw error;
	} finally {
		await rm(aside, { force: true });
	}
}
