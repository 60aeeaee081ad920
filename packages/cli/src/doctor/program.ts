import { execFile } from "node:child_process";
import { access, constants } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";

/** Where programs of a system are, also for a user whose PATH lacks sbin. */
const DIRECTORIES = ["/usr/local/bin", "/usr/bin", "/usr/local/sbin", "/usr/sbin", "/bin", "/sbin"];
const ANSWER_MS = 10_000;

/** The full path of a program, if there is one: of a name in the system's directories, or the path itself. */
export async function findProgram(name: string): Promise<string | undefined> {
	const candidates = name.startsWith("/") ? [name] : DIRECTORIES.map((directory) => join(directory, name));
	for (const candidate of candidates) if (await isExecutable(candidate)) return candidate;
	return undefined;
}

/** What a program said, or why it couldn't: a check's finding either way. */
export type Ran = { readonly ok: true; readonly output: string } | { readonly ok: false; readonly reason: string };

export async function runProgram(command: string, args: readonly string[]): Promise<Ran> {
	try {
		const { stdout } = await promisify(execFile)(command, args, { timeout: ANSWER_MS });
		return { ok: true, output: stdout };
	} catch (error) {
		const { stderr, message } = error as { readonly stderr?: string; readonly message: string };
		return { ok: false, reason: (stderr?.trim() || message).split("\n").at(-1) as string };
	}
}

async function isExecutable(path: string): Promise<boolean> {
	try {
		await access(path, constants.X_OK);
		return true;
	} catch {
		return false;
	}
}
