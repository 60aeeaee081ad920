import type { LineSource, LogLine, TailedLine } from "@berth/contracts";

/** What a line takes beside its text, bytes, about. */
const LINE_BYTES = 300;
/** A ring lets go of this much more than it has to, so that it seldom has to. */
const LEFT = 0.75;

/** A line in memory. */
export interface RingLine {
	/** Of all that this worker has read. */
	readonly number: number;
	readonly project: string;
	readonly source: LineSource;
	readonly line: LogLine;
	readonly isAfterAnswer: boolean;
}

export function bytesOf({ line }: RingLine): number {
	return LINE_BYTES + 2 * line.text.length;
}

/** A line as it leaves this node. @param start which start of the worker's its number is of */
export function tailed({ number, source, line, isAfterAnswer }: RingLine, start: string): TailedLine {
	return { id: `${line.atMs}-${number}-${start}`, ...line, ...source, ...(isAfterAnswer ? { afterAnswer: true } : {}) };
}

/** The newest lines of one function, within a bound. */
export class LogRing {
	readonly #mostBytes: number;
	#lines: RingLine[] = [];
	#bytes = 0;
	/** The number of the last line that it let go of. */
	#lostUpTo = 0;

	constructor(mostBytes: number) {
		this.#mostBytes = mostBytes;
	}

	add(line: RingLine): void {
		this.#lines.push(line);
		this.#bytes += bytesOf(line);
		if (this.#bytes > this.#mostBytes) this.#letGo();
	}

	/** Those after a number, and whether there were more of them. */
	after(number: number): { readonly lines: readonly RingLine[]; readonly incomplete: boolean } {
		return { lines: this.#lines.filter((line) => line.number > number), incomplete: this.#lostUpTo > number };
	}

	#letGo(): void {
		let gone = 0;
		while (gone < this.#lines.length - 1 && this.#bytes > this.#mostBytes * LEFT) this.#bytes -= bytesOf(this.#lines[gone++] as RingLine);
		this.#lostUpTo = this.#lines[gone - 1]?.number ?? this.#lostUpTo;
		this.#lines = this.#lines.slice(gone);
	}
}
