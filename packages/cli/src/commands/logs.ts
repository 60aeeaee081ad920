import type { LogQuery } from "@berth/client";
import { type InvocationAnswer, LOG_LEVELS, type LogLevel, type TailDropped, type TailLine } from "@berth/contracts";
import { InvalidArgumentError } from "commander";
import { CommandFailure, EXIT, type ExitCode } from "../exit-codes.js";
import { untilStopped } from "../following.js";
import { parseDurationMs } from "../input/durations.js";
import { parseCount } from "../input/sizes.js";
import type { Registrar } from "../registrar.js";
import { logText } from "../render/problem.js";
import { durationText } from "../render/units.js";
import type { Session } from "../session.js";

interface LogsOptions {
	readonly follow?: boolean;
	readonly invocation?: string;
	readonly level?: LogLevel;
	readonly since?: number;
	readonly limit?: number;
}

const INVOCATION = /^inv_/;

/** `berth logs [function|invocation]` */
export function registerLogs({ program, action }: Registrar): void {
	program
		.command("logs")
		.description("print what functions logged; of an invocation also how it ended")
		.argument("[name]", "a function, or an invocation's id (berth invoke -i says it); none: every function")
		.option("-f, --follow", "print lines as they are logged, until Ctrl-C")
		.option("--invocation <id>", "of this invocation alone")
		.option("--level <level>", "as grave as that, or graver: debug, info, warn, error", parseLevel)
		.option("--since <duration>", "of the last 30s, 10m, 2h", parseDurationMs)
		.option("--limit <n>", "the newest so many (default 100; with -f none)", parseCount(1, 1000))
		.addHelpText(
			"after",
			"\nExamples:\n  berth logs hello\n  berth logs -f --level warn\n  berth logs inv_01j8z0k3v5t6w7x8y9z0a1b2c3\n\n--json prints the whole record of an invocation, one list of lines, or with -f a\nline each.",
		)
		.action(
			action(async (session: Session, options: LogsOptions, name?: string) => {
				const { client } = await session.connect();
				const query = queryOf(options, name);
				if (options.follow === true) return await follow(session, query);
				if (query.invocation !== undefined && options.since === undefined && options.level === undefined) {
					const record = await client.invocation(query.invocation);
					if (session.json) session.terminal.json(record);
					else printRecord(session, record);
				} else await print(session, query);
				return EXIT.ok;
			}),
		);
}

function parseLevel(text: string): LogLevel {
	const level = LOG_LEVELS.find((one) => one === text);
	if (level === undefined) throw new InvalidArgumentError(`One of ${LOG_LEVELS.join(", ")} is wanted.`);
	return level;
}

function queryOf({ follow: _, invocation, since, ...rest }: LogsOptions, name: string | undefined): LogQuery {
	const isInvocation = name !== undefined && INVOCATION.test(name);
	if (isInvocation && invocation !== undefined) throw new CommandFailure(EXIT.usage, "one invocation is wanted, not two");
	const id = isInvocation ? name : invocation;
	return {
		...rest,
		...(name === undefined || isInvocation ? {} : { function: name }),
		...(id === undefined ? {} : { invocation: id }),
		...(since === undefined ? {} : { since: new Date(Date.now() - since).toISOString() }),
	};
}

async function print(session: Session, query: LogQuery): Promise<void> {
	const { client } = await session.connect();
	const answer = await client.logs(query);
	if (session.json) {
		session.terminal.json(answer);
		return;
	}
	for (const line of answer.lines) session.terminal.print(lineText(line, session));
	if (answer.lines.length === 0)
		session.terminal.note(`Nothing of it is in memory; an invocation's own log is in its record: \`${session.berth} logs inv_…\`.`);
	if (answer.missing !== undefined) session.terminal.note(`Without the lines of ${answer.missing.join(", ")}, which didn't answer.`);
}

/** With `--json`: one document a line. */
async function follow(session: Session, query: LogQuery): Promise<ExitCode> {
	const { client } = await session.connect();
	const { terminal, json } = session;
	return await untilStopped(session, (signal, onFollowing) =>
		client.followLogs(query, {
			signal,
			onFollowing,
			onLine: (line) => (json ? terminal.json(line) : terminal.print(lineText(line, session))),
			onDropped: (dropped) => terminal.note(droppedText(dropped)),
			onRefused: ({ node, detail }) => terminal.note(`Nothing of ${node} for now: ${detail}.`),
		}),
	);
}

function lineText(line: TailLine, { terminal }: Session): string {
	return `${terminal.style("dim", `${line.function} ${line.invocation}`)} ${logText(line)}`;
}

function droppedText({ lines }: TailDropped): string {
	return lines === undefined
		? "Some lines were gone before they could be shown."
		: `${lines} lines were dropped: they came faster than they were read.`;
}

function printRecord({ terminal }: Session, record: InvocationAnswer): void {
	terminal.note(terminal.style("dim", summary(record)));
	for (const line of record.logs) terminal.print(logText(line));
	if (record.removed?.includes("logs")) terminal.note("Its log was removed to make room for newer ones (BERTH_LOGS_MIB).");
	else if (record.logsTruncated) terminal.note("The log was cut at its limit.");
	else if (record.logs.length === 0) terminal.note("It logged nothing.");
}

function summary(record: InvocationAnswer): string {
	const run = record.phases === undefined ? "" : `, ran ${durationText(record.phases.runMs)}`;
	return `${record.id}  ${record.function} v${record.version}  ${record.outcome ?? record.state}${run}`;
}
