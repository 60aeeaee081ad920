import { ApiError, ConnectionError } from "@berth/client";
import { SettingsError } from "@berth/config";
import { BenchError } from "@berth/loadtest";
import { CommandFailure, EXIT, type ExitCode } from "./exit-codes.js";
import { wayOut } from "./no-answer.js";
import { problemText } from "./render/problem.js";
import { messageOf } from "./system-errors.js";
import type { Terminal } from "./terminal.js";

/** Problems with the key itself. */
const REFUSED_KEY: ReadonlySet<string> = new Set(["unauthorized", "forbidden"]);

/** Says what went wrong, to people or (one JSON document on stdout) to programs, and gives the exit code. */
export function reportFailure(error: unknown, terminal: Terminal, { json, verbose }: { json: boolean; verbose: boolean }): ExitCode {
	if (error instanceof SuppressedError) {
		// The work failed first; that cleaning up after it failed too is the lesser news.
		const exitCode = reportFailure(error.suppressed, terminal, { json, verbose });
		terminal.note(`Cleaning up failed, too: ${messageOf(error.error)}`);
		return exitCode;
	}
	// What Node's own waits throw when they are interrupted has the reason as its cause.
	if (error instanceof Error && error.name === "AbortError" && error.cause instanceof CommandFailure)
		return reportFailure(error.cause, terminal, { json, verbose });
	const exitCode = exitCodeOf(error);
	if (json) terminal.json({ error: error instanceof ApiError ? error.problem : { detail: messageOf(error) } });
	else terminal.note(textOf(error, terminal, verbose));
	return exitCode;
}

function exitCodeOf(error: unknown): ExitCode {
	if (error instanceof CommandFailure) return error.exitCode;
	if (error instanceof ConnectionError) return EXIT.unreachable;
	if (error instanceof ApiError && REFUSED_KEY.has(error.problem.code)) return EXIT.unreachable;
	if (error instanceof SettingsError) return EXIT.usage;
	return EXIT.failed;
}

function textOf(error: unknown, terminal: Terminal, verbose: boolean): string {
	if (error instanceof ApiError) return problemText(error.problem, terminal, { verbose });
	return `${terminal.style("red", "error")}: ${sentenceOf(error, verbose)}`;
}

/** A person's sentence; what nobody foresaw has a stack too, for those who ask for it. */
function sentenceOf(error: unknown, verbose: boolean): string {
	if (error instanceof ConnectionError) return `${error.message}\n${wayOut(error)}`;
	if (error instanceof CommandFailure || error instanceof SettingsError || error instanceof BenchError || !(error instanceof Error))
		return messageOf(error);
	return verbose ? (error.stack ?? error.message) : `${error.message} (-v shows where)`;
}
