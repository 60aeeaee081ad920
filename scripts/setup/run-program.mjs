import { spawn } from "node:child_process";
import { SetupFailure } from "./failure.mjs";
import { environment, ROOT } from "./places.mjs";

const LAST_LINES = 20;

/**
 * Runs a program and keeps what it prints in the log.
 * @param {import("./setup-log.mjs").SetupLog} log
 * @param {string} program
 * @param {readonly string[]} args
 * @param {{advice: string, env?: Record<string, string>, cwd?: string, tell?: (lines: string[]) => string[]}} options what to
 *   do when it fails; where it runs (default: the checkout); which of its lines say why (default: the last ones)
 * @returns {Promise<string>} everything it printed
 * @throws SetupFailure with the last lines, when it doesn't exit with 0
 */
export async function runProgram(log, program, args, { advice, env, cwd = ROOT, tell = (all) => all }) {
	log.write(`\n$ ${[program, ...args].join(" ")}\n`);
	const child = spawn(program, args, { cwd, env: environment(env), stdio: ["ignore", "pipe", "pipe"] });
	let output = "";
	for (const stream of [child.stdout, child.stderr]) {
		stream.setEncoding("utf8");
		stream.on("data", (text) => {
			output += text;
			log.write(text);
		});
	}
	const ended = await new Promise((resolve) => {
		child.once("error", (error) => resolve(error.message));
		child.once("close", (code, signal) => resolve(code === 0 ? undefined : (signal ?? `exit code ${code}`)));
	});
	if (ended === undefined) return output;
	const lines = tell(output.trimEnd().split("\n")).slice(-LAST_LINES);
	throw new SetupFailure(`\`${[program, ...args].join(" ")}\` failed (${ended})`, advice, lines);
}
