import { ApiError, ConnectionError } from "@berth/client";
import { SettingsError } from "@berth/config";
import { CommandFailure, EXIT, type ExitCode } from "./exit-codes.js";
import { problemText } from "./render/problem.js";
import { messageOf } from "./system-errors.js";
import type { Terminal } from "./terminal.js";

/** Says what went wrong, to people or (one JSON document on stdout) to programs, and gives the exit code. */
export function reportFailure(error: unknown, terminal: Terminal, json: boolean): ExitCode {
	const exitCode = exitCodeOf(error);
	if (json) terminal.json({ error: error instanceof ApiError ? error.problem : { detail: messageOf(error) } });
	else terminal.note(textOf(error, terminal));
	return exitCode;
}

function exitCodeOf(error: unknown): ExitCode {
	if (error instanceof CommandFailure) return error.exitCode;
	if (error instanceof ConnectionError) return EXIT.unreachable;
	if (error instanceof ApiError && (error.status === 401 || error.status === 403)) return EXIT.unreachable;
	if (error instanceof SettingsError) return EXIT.usage;
	return EXIT.failed;
}

function textOf(error: unknown, terminal: Terminal): string {
	if (error instanceof ApiError) return problemText(error.problem, terminal);
	const text =
		error instanceof ConnectionError ? `${error.message}\nIs the stack up? \`berth doctor\` tells, \`berth up\` starts it.` : undefined;
	const known = error instanceof CommandFailure || error instanceof SettingsError;
	return `${terminal.style("red", "error")}: ${text ?? (known || !(error instanceof Error) ? messageOf(error) : (error.stack ?? error.message))}`;
}
