import type { Readable, Writable } from "node:stream";
import { KIB } from "@berth/contracts";

/** What a process said when it was ready: a JSON line `{"ready":true,…}`. */
export type ReadyLine = Readonly<Record<string, unknown>>;

const LONGEST_LINE = 64 * KIB;

/**
 * Waits for the ready line on a process's stdout. Everything but that line, which may hold a key, goes to the
 * sink, before it and after it; `progress` hears of lines `{"progress":"…"}` before it. Never settles when the line doesn't come.
 */
export function readyLine(stdout: Readable, sink: Writable, progress: (text: string) => void = () => undefined): Promise<ReadyLine> {
	return new Promise((resolve) => {
		let pending = "";
		const search = (text: string) => {
			const lines = (pending + text).split("\n");
			pending = lines.pop() ?? "";
			for (const [index, line] of lines.entries()) {
				const said = objectIn(line);
				if (typeof said?.["progress"] === "string") progress(said["progress"]);
				if (said?.["ready"] === true) {
					stdout.off("data", search);
					write(sink, [...lines.slice(index + 1), pending].join("\n"));
					pending = "";
					stdout.on("data", (rest: string) => write(sink, rest));
					resolve(said);
					return;
				}
				write(sink, `${line}\n`);
			}
			if (pending.length > LONGEST_LINE) {
				write(sink, pending);
				pending = "";
			}
		};
		stdout.setEncoding("utf8");
		stdout.on("data", search);
		stdout.once("end", () => write(sink, pending));
	});
}

function write(sink: Writable, text: string): void {
	if (text !== "" && !sink.writableEnded) sink.write(text);
}

function objectIn(line: string): ReadyLine | undefined {
	if (!line.startsWith("{")) return undefined;
	try {
		return JSON.parse(line) as ReadyLine;
	} catch {
		return undefined;
	}
}
