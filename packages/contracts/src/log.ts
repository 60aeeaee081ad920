/** How grave a line is. */
export const LOG_LEVELS = ["debug", "info", "warn", "error"] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** One line that a function printed, as it is kept. */
export interface LogLine {
	/** Milliseconds since the epoch at which the worker read it. */
	readonly atMs: number;
	readonly stream: "stdout" | "stderr";
	/** As it was printed. */
	readonly text: string;
	/** What it was printed with, where stream and text don't say it by themselves: `console.warn`, Python's `logging`. */
	readonly level?: LogLevel;
}

/** A line as it is shown: what is in it, besides its text. */
export interface LogEntry extends LogLine {
	readonly level: LogLevel;
	/** Of a line that is a JSON object: its `message`, or `msg`, and whatever else is in it. */
	readonly message?: string;
	readonly fields?: Readonly<Record<string, unknown>>;
	/** It was printed after the answer, by what was given to `waitUntil`. */
	readonly afterAnswer?: true;
}

/**
 * How an agent says a line's level: in front of the line, as nothing else is printed. Functions may print it, too; it is their own
 * log that says so then.
 */
export const LEVEL_MARK = "\x1e";
const MARKED: Readonly<Record<string, LogLevel>> = { D: "debug", I: "info", W: "warn", E: "error" };

/** A level by the names and numbers that loggers have for it (pino, bunyan, Python, syslog, Cloud Logging). */
const NAMED: ReadonlyMap<string, LogLevel> = new Map(
	Object.entries({
		trace: "debug",
		debug: "debug",
		verbose: "debug",
		info: "info",
		information: "info",
		notice: "info",
		warn: "warn",
		warning: "warn",
		error: "error",
		err: "error",
		fatal: "error",
		critical: "error",
		alert: "error",
		emergency: "error",
	} as const),
);
const NUMBERED = { warn: 40, info: 30, error: 50 } as const;

/** How deep what is in a line may go to be taken apart: what is deeper stays text. */
const MOST_LEVELS = 32;

/** Takes an agent's mark off a line. */
export function unmarked(text: string): { readonly text: string; readonly level?: LogLevel } {
	if (text[0] !== LEVEL_MARK) return { text };
	const level = MARKED[text[1] ?? ""];
	return level === undefined ? { text } : { text: text.slice(2), level };
}

/** What a line says. Every line may be anything: what isn't understood is its text. */
export function entryOf(line: LogLine): LogEntry {
	const object = objectIn(line.text);
	const { level, severity, levelname, message, msg, ...fields } = object ?? {};
	const said = message ?? msg;
	const own = levelIn(level) ?? levelIn(severity) ?? levelIn(levelname);
	const known = line.level ?? own ?? (line.stream === "stderr" ? "error" : "info");
	if (object === undefined || (own === undefined && typeof said !== "string")) return { ...line, level: known };
	return { ...line, level: known, ...(typeof said === "string" ? { message: said } : {}), fields };
}

/** Whether a line is as grave as that, or graver. */
export function isAtLeast(level: LogLevel, least: LogLevel): boolean {
	return LOG_LEVELS.indexOf(level) >= LOG_LEVELS.indexOf(least);
}

function levelIn(value: unknown): LogLevel | undefined {
	if (typeof value === "string") return NAMED.get(value.toLowerCase());
	if (typeof value !== "number") return undefined;
	if (value >= NUMBERED.error) return "error";
	if (value >= NUMBERED.warn) return "warn";
	return value >= NUMBERED.info ? "info" : "debug";
}

/** Lines have a bound of their own, so parsing one has. */
function objectIn(text: string): Readonly<Record<string, unknown>> | undefined {
	if (text[0] !== "{" || text.at(-1) !== "}") return undefined;
	try {
		const value = JSON.parse(text) as Readonly<Record<string, unknown>>;
		return isShallow(value) ? value : undefined;
	} catch {
		return undefined;
	}
}

/** Level by level: what writes JSON goes as deep as it does, on its stack. */
function isShallow(value: object): boolean {
	let level: object[] = [value];
	for (let depth = 1; level.length > 0; depth++) {
		if (depth > MOST_LEVELS) return false;
		level = level
			.flatMap((container) => Object.values(container))
			.filter((item): item is object => typeof item === "object" && item !== null);
	}
	return true;
}
