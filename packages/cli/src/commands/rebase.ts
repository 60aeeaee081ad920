import { ApiError, type Client } from "@berth/client";
import type { Problem, Version } from "@berth/contracts";
import { CommandFailure, EXIT, type ExitCode } from "../exit-codes.js";
import type { Registrar } from "../registrar.js";
import { problemText } from "../render/problem.js";
import { durationText } from "../render/units.js";
import type { Session } from "../session.js";

interface RebaseOptions {
	readonly all?: boolean;
	readonly wait: boolean;
}

const HELP = `
After an update of Node, of Python or of Berth itself, functions go on with the
base they were built on. A rebase makes a version of the same source and settings
on the base of now, and puts it wherever an alias led to the one before, when it
is ready. \`berth rollback\` takes it back.

Examples:
  berth list --outdated
  berth rebase hello
  berth rebase --all`;

/** `berth rebase [name…]` */
export function registerRebase({ program, action }: Registrar): void {
	program
		.command("rebase")
		.description("put functions onto the current base of their runtime")
		.argument("[names...]", "functions")
		.option("--all", "every function that needs it")
		.option("--no-wait", "return when the versions are queued")
		.addHelpText("after", HELP)
		.action(
			action(async (session: Session, options: RebaseOptions, names: readonly string[]) => {
				if ((names.length === 0) === (options.all !== true))
					throw new CommandFailure(EXIT.usage, "either names of functions are wanted, or --all");
				const { client } = await session.connect();
				const wanted = options.all === true ? (await client.outdated()).map(({ name }) => name) : names;
				return await rebaseAll(session, client, wanted, options.wait);
			}),
		);
}

/** One after another; one that can't be rebased stops none of the others. */
async function rebaseAll(session: Session, client: Client, names: readonly string[], wait: boolean) {
	const { terminal, json, verbose } = session;
	const rebased: Version[] = [];
	const failed: { readonly function: string; readonly error: Problem }[] = [];
	let exitCode: ExitCode = EXIT.ok;
	for (const name of names) {
		try {
			const versions = await client.rebase(name, { wait });
			rebased.push(...versions);
			if (json) continue;
			if (versions.length === 0) terminal.note(`${name} is on the base of its runtime.`);
			for (const version of versions) terminal.print(rebasedText(version));
		} catch (error) {
			if (!(error instanceof ApiError) || names.length === 1) throw error;
			exitCode = EXIT.failed;
			failed.push({ function: name, error: error.problem });
			if (!json) terminal.note(`${name}: ${problemText(error.problem, terminal, { verbose })}`);
		}
	}
	if (json) terminal.json({ rebased, failed });
	else if (names.length === 0) terminal.note("Every function is on the base of its runtime.");
	return exitCode;
}

function rebasedText({ function: name, number, rebasedFrom, state, build, image }: Version): string {
	const took = build === undefined ? "" : ` in ${durationText(build.durationMs)}`;
	return `${name}: version ${number}, ${state}${took}, for version ${rebasedFrom}${image === undefined ? "" : `, on ${image.base.digest.slice(0, 19)}`}`;
}
