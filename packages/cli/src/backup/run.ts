import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { programEnvironment } from "@berth/config";

const execute = promisify(execFile);

/** Runs a program to its end. @throws Error with the last line that it said */
export async function run(program: string, args: readonly string[]): Promise<void> {
	try {
		await execute(program, args, { env: programEnvironment(), maxBuffer: 16 * 1024 * 1024 });
	} catch (cause) {
		const { stderr, message } = cause as Error & { readonly stderr?: string };
		const said = (stderr ?? "").trim().split("\n").at(-1);
		throw new Error(said === undefined || said === "" ? message : `${program}: ${said}`, { cause });
	}
}
