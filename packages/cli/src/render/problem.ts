import type { FunctionError, LogLine, Problem } from "@berth/contracts";
import type { Terminal } from "../terminal.js";
import { ADVICE } from "./advice.js";
import { diagnosticText, isDiagnostics } from "./diagnostics.js";

/** What is known of a failure besides its problem. */
export interface FailureContext {
	readonly error?: FunctionError;
	readonly logs?: readonly LogLine[];
}

const LOG_TAIL = 10;

/** A problem for people: cause, details, stack, the log's end, what to do. */
export function problemText(problem: Problem, terminal: Terminal, context: FailureContext = {}): string {
	const error = context.error ?? errorIn(problem);
	const title = problem.title.replace(/\.$/, "");
	const lines = [`${terminal.style("red", "error")}: ${terminal.style("bold", title)} (${problem.code})`];
	const detail = error?.stack?.includes(problem.detail) ? "" : problem.detail;
	if (detail !== "" && detail !== problem.title) lines.push(indent(detail));
	for (const issue of problem.issues ?? []) lines.push(`  ${issue.field}: ${issue.message}`);
	const diagnostics = problem["diagnostics"];
	if (isDiagnostics(diagnostics)) lines.push(...diagnostics.map((diagnostic) => diagnosticText(diagnostic, terminal)));
	if (error !== undefined) lines.push(indent(error.stack ?? `${error.name}: ${error.message}`));
	if (context.logs !== undefined && context.logs.length > 0) lines.push(...tailOf(context.logs, terminal));
	const advice = ADVICE[problem.code];
	if (advice !== undefined) lines.push(advice);
	return lines.join("\n");
}

/** A log line with its time of day and stream. */
export function logText(line: LogLine): string {
	return `${new Date(line.atMs).toISOString().slice(11, 23)} ${line.stream} ${line.text}`;
}

function tailOf(logs: readonly LogLine[], terminal: Terminal): string[] {
	const tail = logs.slice(-LOG_TAIL);
	const heading = tail.length < logs.length ? `log, the last ${tail.length} of ${logs.length} lines:` : "log:";
	return [terminal.style("dim", heading), ...tail.map((line) => `  ${logText(line)}`)];
}

function errorIn(problem: Problem): FunctionError | undefined {
	const error = problem["error"];
	if (typeof error !== "object" || error === null) return undefined;
	const { name, message } = error as Partial<FunctionError>;
	return typeof name === "string" && typeof message === "string" ? (error as FunctionError) : undefined;
}

function indent(text: string): string {
	return text.replace(/^/gm, "  ");
}
