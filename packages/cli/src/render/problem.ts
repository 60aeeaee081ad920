import { entryOf, type FunctionError, type LogLine, type Problem } from "@berth/contracts";
import type { Terminal } from "../terminal.js";
import { ADVICE } from "./advice.js";
import { diagnosticText, isDiagnostics } from "./diagnostics.js";
import { durationText } from "./units.js";

/** What is known of a failure besides its problem. */
export interface FailureContext {
	readonly error?: FunctionError;
	readonly logs?: readonly LogLine[];
	/** Whether a stack shows the platform's frames, too. */
	readonly verbose?: boolean;
}

const LOG_TAIL = 10;

/** A problem for people: cause, details, stack, the log's end, what to do. */
export function problemText(problem: Problem, terminal: Terminal, context: FailureContext = {}): string {
	const error = context.error ?? errorIn(problem);
	const title = problem.title.replace(/\.$/, "");
	const lines = [`${terminal.style("red", "error")}: ${terminal.style("bold", title)} (${problem.code})`];
	const diagnostics = problem["diagnostics"];
	// What a diagnostic, an issue or the error's stack says already isn't said twice.
	if (isDiagnostics(diagnostics) && diagnostics.length > 0) lines.push(...diagnostics.map((each) => diagnosticText(each, terminal)));
	else if (error !== undefined) lines.push(indent(errorText(error, context.verbose === true)));
	else lines.push(...detailLines(problem));
	if (context.logs !== undefined && context.logs.length > 0) lines.push(...tailOf(context.logs, terminal));
	const advice = ADVICE[problem.code] ?? whenAgain(problem);
	// What was thrown may be no error, and then no stack names a line.
	const lacksLine = problem.code === "handler_error" && !lines.some((line) => FRAME.test(line));
	if (advice !== undefined && !lacksLine) lines.push(advice);
	return lines.join("\n");
}

/** When to come back, where the gateway says so. */
function whenAgain({ detail, retryAfterMs }: Problem): string | undefined {
	return typeof retryAfterMs === "number" && !/try again/i.test(detail) ? `Try again in ${durationText(retryAfterMs)}.` : undefined;
}

/** The wrong fields by name, or else the detail. */
function detailLines({ title, detail, issues = [] }: Problem): readonly string[] {
	if (issues.length > 0) return issues.map(({ field, message }) => `  ${field}: ${message}`);
	return detail === "" || detail === title ? [] : [indent(detail)];
}

/** A frame of a stack, of JavaScript's or Python's. */
const FRAME = /^\s+(?:at .*:\d+|File ".*", line \d+)/m;
/** The frames below a function's own are the agent's and Node's. */
const PLATFORM_FRAME = /^\s+at .*(?:\/berth\/agent\.cjs|node:internal\/|\(node:|at node:)/;

/** The error's stack; where the function's own frames end it is cut, unless everything is wanted. */
function errorText({ name, message, stack }: FunctionError, verbose: boolean): string {
	if (stack === undefined) return `${name}: ${message}`;
	if (verbose) return stack;
	const lines = stack.split("\n");
	while (lines.length > 1 && PLATFORM_FRAME.test(lines.at(-1) as string)) lines.pop();
	return lines.join("\n");
}

/** A log line with its time of day and level. */
export function logText(line: LogLine): string {
	return `${new Date(line.atMs).toISOString().slice(11, 23)} ${entryOf(line).level.padEnd(5)} ${line.text}`;
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
