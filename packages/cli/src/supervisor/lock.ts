import { spawn } from "node:child_process";
import { once } from "node:events";
import { constants } from "node:fs";
import { type FileHandle, open } from "node:fs/promises";
import type { DataPaths } from "@berth/config";
import { CommandFailure, EXIT } from "../exit-codes.js";
import { requireOwned } from "./owned-file.js";
import { identityOf, type ProcessIdentity } from "./process-identity.js";

/** The right to supervise a data directory. Disposing of it gives it back; the kernel does when its holder is gone. */
export interface SupervisorLock extends AsyncDisposable {
	readonly holder: ProcessIdentity;
}

/** What flock(1) ends with when somebody else has the lock. */
const TAKEN = 1;

/** Takes the lock, also from a supervisor that was killed. @throws CommandFailure when another supervisor runs */
export async function takeLock(paths: DataPaths): Promise<SupervisorLock> {
	const holder = await identityOf(process.pid);
	if (holder === undefined) throw new Error("/proc doesn't show this process");
	// Whoever can open it can lock it: root alone.
	const file = await open(paths.supervisorLock, constants.O_RDWR | constants.O_CREAT | constants.O_NOFOLLOW, 0o600);
	try {
		await requireOwned(file, paths.supervisorLock);
		if (!(await lock(file))) throw new CommandFailure(EXIT.failed, await refusal(file));
		await file.truncate();
		await file.write(JSON.stringify(holder), 0);
	} catch (error) {
		await file.close();
		throw error;
	}
	return { holder, [Symbol.asyncDispose]: () => file.close() };
}

/** Node has no flock(2): the program locks the open file that it has in common with us, and ours stays locked. */
async function lock(file: FileHandle): Promise<boolean> {
	const child = spawn("flock", ["--nonblock", "3"], { stdio: ["ignore", "ignore", "inherit", file.fd] });
	const [code] = (await once(child, "exit")) as [number | null];
	if (code !== 0 && code !== TAKEN) throw new Error(`flock ended with ${code}`);
	return code === 0;
}

async function refusal(file: FileHandle): Promise<string> {
	const { buffer, bytesRead } = await file.read({ position: 0 });
	const text = buffer.toString("utf8", 0, bytesRead);
	// It may have been taken this very moment.
	const other = text === "" ? "" : ` (supervisor ${(JSON.parse(text) as ProcessIdentity).pid})`;
	return `a stack is up already in this data directory${other}. \`berth down\` stops it.`;
}
