import type { ChildProcessByStdio } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import { text } from "node:stream/consumers";
import { tellingLines } from "./said-lines.js";

const MOST_LINES = 6;
/** What V8 says when its heap is full. */
const HEAP_IS_FULL = /JavaScript heap out of memory/;

/** What tools say around what they have to say. */
const NOISE = /^\s*(?:note: This error originates from|\[end of output\]|error: subprocess-exited|╰─>|│ exit code)/;

/** How a program of an installation ended. */
export interface End {
	readonly code: number | null;
	readonly isLate: boolean;
	readonly out: string;
	/** What it said, as much as tells why it failed: each line once. */
	readonly lines: readonly string[];
}

/** Waits for its end, and for its lines; too late, it is killed. */
export async function endOf(child: ChildProcessByStdio<Writable | null, Readable, Readable>, limitMs: number): Promise<End> {
	let isLate = false;
	const timer = setTimeout(() => {
		isLate = true;
		child.kill("SIGKILL");
	}, limitMs);
	const closed = new Promise<number | null>((resolve, reject) => child.once("close", resolve).once("error", reject));
	try {
		const [out, log, code] = await Promise.all([text(child.stdout), text(child.stderr), closed]);
		const all = [...new Set(log.split("\n").filter((line) => line.trim() !== ""))];
		const said = all.filter((line) => !NOISE.test(line));
		const full = all.filter((line) => HEAP_IS_FULL.test(line));
		return { code, isLate, out, lines: tellingLines(full.length > 0 ? full : said.length > 0 ? said : all, MOST_LINES) };
	} finally {
		clearTimeout(timer);
	}
}

/** That it was stopped, what it waited for, and what it said last. */
export function tooLate(what: string, limitMs: number, underWay: readonly string[], ended: End, tool: string): string {
	const waiting = underWay.length === 0 ? "" : ` It was waiting for the registry's ${underWay.join(", ")}.`;
	return `${what} took longer than ${limitMs} ms and was stopped.${waiting}${saying(ended, tool)}`;
}

/** Its last lines. */
export function saying({ lines }: End, tool: string): string {
	return lines.length === 0 ? "" : ` ${tool} said: ${lines.join(" | ")}`;
}
