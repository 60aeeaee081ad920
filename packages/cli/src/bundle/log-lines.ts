import { open } from "node:fs/promises";
import type { Redaction } from "./redaction.js";
import { LEFT_OUT } from "./redaction.js";

/** What is read of a log's end, and how many of its lines. */
const TAIL_BYTES = 512 * 1024;
const LINES = 1000;
const LONGEST_LINE = 4000;

/** Fields of our processes' lines whose values we make; all others may hold what a tenant sent. */
const FIELDS = new Set(
	"level time pid name msg node invocation attempt version build job jobs invocations turn tries status code digest event freed sentBlobs instance progress".split(
		" ",
	),
);
const ERRORS = ["err", "error"];
const OF_ERROR = ["type", "message", "code", "stack"];

/** The last lines of a log, without what may be somebody's secret. @throws Error when it can't be read */
export async function logTail(path: string, redaction: Redaction): Promise<string> {
	await using file = await open(path, "r");
	const { size } = await file.stat();
	const length = Math.min(size, TAIL_BYTES);
	const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, size - length);
	const lines = buffer.toString("utf8", 0, bytesRead).split("\n");
	// The first one is half a line.
	if (length < size) lines.shift();
	return redaction.said(
		lines
			.slice(-LINES - 1)
			.map(lineToShow)
			.join("\n"),
	);
}

/** A line in JSON with the fields that are ours; any other as it is, to be looked through. */
export function lineToShow(line: string): string {
	const record = recordIn(line);
	if (record === undefined) return line.slice(0, LONGEST_LINE);
	const shown = Object.entries(record).map(([name, value]) => [name, fieldToShow(name, value)]);
	return JSON.stringify(Object.fromEntries(shown)).slice(0, LONGEST_LINE);
}

function fieldToShow(name: string, value: unknown): unknown {
	if (FIELDS.has(name)) return typeof value === "object" && value !== null ? LEFT_OUT : value;
	if (!ERRORS.includes(name) || typeof value !== "object" || value === null) return LEFT_OUT;
	return Object.fromEntries(Object.entries(value).filter(([part, text]) => OF_ERROR.includes(part) && typeof text !== "object"));
}

function recordIn(line: string): Readonly<Record<string, unknown>> | undefined {
	if (!line.startsWith("{")) return undefined;
	try {
		return JSON.parse(line) as Readonly<Record<string, unknown>>;
	} catch {
		// Cut off, or of a program that isn't ours.
		return undefined;
	}
}
