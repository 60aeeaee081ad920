import type { BuildPhase, LayerReport, VersionState } from "./version.js";

/** What is kept of one build's log; the states that it goes through come on top. */
export const BUILD_LOG = {
	lines: 256,
	/** Characters of a line; what is longer goes on in the next, and after so many of those it is cut. */
	lineChars: 1000,
	continuations: 4,
} as const;

/** One line of what a build says while it goes on. */
export interface BuildLogLine {
	/** `state` and `layer` carry what they are about; `error` and `warning` are of the source or of a tool that read it. */
	readonly kind: "state" | "step" | "layer" | "warning" | "error";
	/** For people: one line, without control characters. */
	readonly text: string;
	readonly state?: VersionState;
	readonly layer?: LayerReport;
}

/** A line as it is kept. */
export interface StoredLogLine extends BuildLogLine {
	/** Orders the lines; `Last-Event-ID` takes it. */
	readonly id: string;
	/** ISO 8601. */
	readonly at: string;
}

/** How far something is that takes its time: only the newest counts, and none is kept. */
export interface BuildProgress {
	readonly phase: BuildPhase;
	/** Archives and records asked of the package registry, and what came of them. */
	readonly fetches: number;
	readonly fetchedBytes: number;
	/** What was handed over by the installation so far. */
	readonly unpackedBytes: number;
}

/** `GET /v1/functions/{name}/versions/{number}/log` */
export interface BuildLogAnswer {
	readonly function: string;
	readonly version: number;
	readonly state: VersionState;
	readonly lines: readonly StoredLogLine[];
}

/** The last event of a log's stream: how the build ended, or that its version was deleted. */
export interface BuildLogEnd {
	readonly state: VersionState | "deleted";
}

// What controls a terminal, or turns the order of what stands in it.
const CONTROLS = /[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/gu;

/** Text of others as lines of a log: control characters become pictures (`␛`), long lines go on in the next. */
export function logTexts(text: string): readonly string[] {
	const lines = text.split(/\r?\n/).filter((line) => line.trim() !== "");
	return lines.flatMap((line) => piecesOf(line.replace(/\t/g, "  ").replace(CONTROLS, pictureOf)));
}

function pictureOf(control: string): string {
	const code = control.charCodeAt(0);
	if (code < 0x20) return String.fromCharCode(0x2400 + code);
	return code === 0x7f ? "\u2421" : "\ufffd";
}

function piecesOf(line: string): readonly string[] {
	const { lineChars, continuations } = BUILD_LOG;
	const pieces: string[] = [];
	for (let at = 0; at < line.length && pieces.length < continuations; at += lineChars) pieces.push(line.slice(at, at + lineChars));
	if (line.length > lineChars * continuations) pieces.push("…");
	return pieces;
}
