const LINE_CHARS = 300;
/** Of a longer line's end: a list has its newest there. */
const END_CHARS = 100;
const HEAD_CHARS = 256 * 1024;
const TAIL_CHARS = 16 * 1024;
/** How programs begin the line that says what went wrong: `Error: …`, `TypeError [CODE]: …`, `a.cc:3:10: fatal error: …`. */
const ERROR = /(?:^|[\s:])(?:\w*error|fatal)\b[^:]{0,40}:/i;

/** What a program prints, as much of it as may be needed: it may print without end. */
export class Printed {
	#head = "";
	#tail = "";

	add(text: string): void {
		const room = HEAD_CHARS - this.#head.length;
		this.#head += text.slice(0, room);
		this.#tail = (this.#tail + text.slice(room)).slice(-TAIL_CHARS);
	}

	/** Its lines, without the empty ones. */
	get lines(): readonly string[] {
		return `${this.#head}${this.#tail}`.split(/\r?\n/).filter((line) => line.trim() !== "");
	}
}

/** The last lines, and before them the first that says what went wrong, where that isn't one of them: programs end with where they were. */
export function tellingLines(lines: readonly string[], most: number): readonly string[] {
	const at = lines.findIndex((line) => ERROR.test(line));
	const isCutOff = at >= 0 && at < lines.length - most;
	const kept = isCutOff ? [lines[at] as string, "…", ...lines.slice(1 - most)] : lines.slice(-most);
	return kept.map(shortened);
}

function shortened(line: string): string {
	return line.length <= LINE_CHARS ? line : `${line.slice(0, LINE_CHARS - END_CHARS)} … ${line.slice(-END_CHARS)}`;
}
