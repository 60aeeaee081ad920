import type { ErrorCode } from "./errors.js";
import type { LogEntry, LogLevel, LogLine } from "./log.js";

/** Whose lines somebody wants to see. */
export interface LogFilter {
	readonly project: string;
	readonly function?: string;
	readonly invocation?: string;
	/** As grave as that, or graver. */
	readonly level?: LogLevel;
}

/** Whose a line is. */
export interface LineSource {
	readonly function: string;
	readonly version: number;
	readonly invocation: string;
	readonly attempt: number;
	readonly traceId?: string;
}

/** A line on its way from a node. */
export interface TailedLine extends LogLine, LineSource {
	/** Its time, its number on its node since the worker's start, and which start that was. */
	readonly id: string;
	readonly afterAnswer?: true;
}

/** A line among those of other invocations, as it is shown. */
export interface TailLine extends LogEntry, LineSource {
	readonly id: string;
}

/** `GET /v1/logs`: the newest lines, the oldest of them first. */
export interface TailAnswer {
	readonly lines: readonly TailLine[];
	/** Nodes that didn't answer: what they have isn't here. Absent when all did. */
	readonly missing?: readonly string[];
}

/** Event `dropped` of a stream of lines. */
export interface TailDropped {
	/** How many lines it had no room for. Absent where that isn't known: they were gone when it began. */
	readonly lines?: number;
}

/** Event `following` of a stream of lines or events, once: from now on nothing is missed that these nodes tell. Others are asked again and again. */
export interface WatchFollowing {
	readonly nodes: readonly string[];
}

/** Event `refused` of a stream of lines or events: a node that tells it nothing for now. It is asked again and again, and tells what comes once it does. */
export interface WatchRefused {
	readonly node: string;
	readonly code: ErrorCode;
	readonly detail: string;
}

export const LOG_TAIL = {
	/** The most lines that are asked for at once, and how many they are when nothing is said. */
	mostLines: 1000,
	lines: 100,
} as const;

/** The parts of a line's id; undefined when it isn't one. */
export function tailIdOf(text: string): { readonly atMs: number; readonly number: number; readonly start: string } | undefined {
	const [, atMs, number, start] = /^(\d{1,15})-(\d{1,15})-([0-9a-z]{1,16})$/.exec(text) ?? [];
	return start === undefined ? undefined : { atMs: Number(atMs), number: Number(number), start };
}
