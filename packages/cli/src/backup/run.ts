import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { programEnvironment } from "@berth/config";

const execute = promisify(execFile);

/** Runs a program to its end. @throws Error with the cause that it named; the signal's reason when that was set off */
export async function run(program: string, args: readonly string[], signal?: AbortSignal): Promise<void> {
	try {
		await execute(program, args, { env: programEnvironment(), maxBuffer: 16 * 1024 * 1024, signal });
	} catch (cause) {
		signal?.throwIfAborted();
		const { stderr, message } = cause as Error & { readonly stderr?: string };
		const lines = (stderr ?? "").split("\n").filter((line) => line.trim() !== "");
		// tar goes on, and says in the end that it failed; others end with what was wrong.
		const said = program === "tar" ? lines[0] : lines.at(-1);
		throw new Error(said === undefined ? message : `${program}: ${said.replace(`${program}: `, "")}`, { cause });
	}
}
