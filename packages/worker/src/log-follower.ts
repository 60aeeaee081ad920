import { entryOf, isAtLeast, KIB, type LogFilter } from "@berth/contracts";
import { bytesOf, type RingLine } from "./log-ring.js";

/** What waits to be asked for; what is beyond is dropped, and counted. */
const WAITING_BYTES = 256 * KIB;
/** The most that one answer has. */
const ANSWER_BYTES = 128 * KIB;
/** How long a question waits for a line, and how long lines that come together are gathered, milliseconds. */
const WAIT_MS = 4000;
const GATHER_MS = 20;

/** Somebody who watches lines as they are printed, by way of a gateway that asks for them again and again. */
export class LogFollower {
	readonly #filter: LogFilter;
	#waiting: RingLine[] = [];
	#bytes = 0;
	#dropped = 0;
	#news: (() => void) | undefined;

	constructor(filter: LogFilter) {
		this.#filter = filter;
	}

	offer(line: RingLine, project: string): void {
		if (!isWanted(this.#filter, project, line)) return;
		const bytes = bytesOf(line);
		if (this.#bytes + bytes > WAITING_BYTES) {
			this.#dropped++;
			return;
		}
		this.#waiting.push(line);
		this.#bytes += bytes;
		this.#news?.();
	}

	/** What has come since the last time; waits for something when there is nothing. */
	async take(): Promise<{ readonly lines: readonly RingLine[]; readonly dropped: number }> {
		if (this.#waiting.length === 0) await this.#wait();
		let taken = 0;
		for (let bytes = 0; taken < this.#waiting.length && (taken === 0 || bytes < ANSWER_BYTES); taken++) {
			bytes += bytesOf(this.#waiting[taken] as RingLine);
		}
		const lines = this.#waiting.splice(0, taken);
		this.#bytes -= lines.reduce((sum, line) => sum + bytesOf(line), 0);
		const dropped = this.#waiting.length === 0 ? this.#dropped : 0;
		this.#dropped -= dropped;
		return { lines, dropped };
	}

	/** Nobody waits for it any more. */
	end(): void {
		this.#news?.();
	}

	#wait(): Promise<void> {
		return new Promise((resolve) => {
			let timer = setTimeout(resolve, WAIT_MS);
			this.#news = () => {
				this.#news = undefined;
				clearTimeout(timer);
				timer = setTimeout(resolve, GATHER_MS);
			};
		});
	}
}

export function isWanted(filter: LogFilter, project: string, { source, line }: RingLine): boolean {
	return (
		project === filter.project &&
		(filter.function === undefined || filter.function === source.function) &&
		(filter.invocation === undefined || filter.invocation === source.invocation) &&
		(filter.level === undefined || isAtLeast(entryOf(line).level, filter.level))
	);
}
