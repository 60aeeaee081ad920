import { execFile } from "node:child_process";
import { promisify } from "node:util";

const execute = promisify(execFile);
const BOUND_MS = 5 * 60_000;

/** Runs a program of this machine and gives what it printed. @throws Error with what it said on standard error */
export async function run(program: string, args: readonly string[], options: { readonly cwd?: string } = {}): Promise<string> {
	const env = { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", DEBIAN_FRONTEND: "noninteractive", LC_ALL: "C" };
	try {
		const { stdout } = await execute(program, args, { env, timeout: BOUND_MS, maxBuffer: 1 << 26, ...options });
		return stdout;
	} catch (error) {
		const { stderr = "", message } = error as { stderr?: string; message: string };
		throw new Error(`${program} ${args.slice(0, 3).join(" ")}: ${stderr.trim().split("\n").at(-1) || message}`);
	}
}
