import { entryOf, isAtLeast, KIB, type LineSource, type LogFilter, type LogLine, type TailedLine, tailIdOf } from "@berth/contracts";
import type { LogQuestion, NodeAnswer } from "@berth/queue";
import { Followers } from "./followers.js";
import { bytesOf, LogRing, type RingLine, tailed } from "./log-ring.js";

/** What is kept of one function, and of how many: 8 MiB in all. */
const FUNCTION_BYTES = 128 * KIB;
const FUNCTIONS = 64;

/** Where an invocation's lines go as they are printed. */
export interface LineTeller {
	line(line: LogLine): void;
	/** What comes from now on comes after the answer. */
	answered(): void;
}

/** Lines as this node's functions print them: the newest, in memory, and those who watch. Records don't come from here. */
export class LogTail {
	readonly #start: string;
	#lines = 0;
	/** By project and function, those that printed last at the end. */
	readonly #rings = new Map<string, LogRing>();
	readonly #followers = new Followers<LogFilter, RingLine>(isWanted, bytesOf);

	/** @param incarnation of this worker: its numbers begin anew with each */
	constructor(incarnation: string) {
		this.#start = incarnation.replace(/[^0-9a-z]/g, "").slice(0, 8);
	}

	teller(project: string, source: LineSource): LineTeller {
		let isAfterAnswer = false;
		let ring: LogRing | undefined;
		return {
			line: (line) => {
				ring ??= this.#ringOf(`${project}/${source.function}`);
				const taken = { number: ++this.#lines, project, source, line, isAfterAnswer };
				ring.add(taken);
				this.#followers.offer(taken);
			},
			answered: () => {
				isAfterAnswer = true;
			},
		};
	}

	/** @throws BerthError too_busy */
	async answer(question: LogQuestion): Promise<NodeAnswer> {
		const { follower, filter } = question;
		if (follower === undefined) return { kind: "logs", lines: this.#newest(question).lines, dropped: 0 };
		if (question.ends === true) {
			this.#followers.forget(follower);
			return { kind: "logs", lines: [], dropped: 0 };
		}
		const taken = await this.#followers.ask(follower, filter);
		if (taken !== undefined) return { kind: "logs", lines: this.#shown(taken.items), dropped: taken.dropped };
		const { lines, incomplete } = this.#newest(question);
		return { kind: "logs", lines, dropped: 0, ...(incomplete && question.after !== undefined ? { incomplete } : {}) };
	}

	close(): void {
		this.#followers.close();
	}

	#newest({ filter, limit, sinceMs = 0, after }: LogQuestion): { readonly lines: readonly TailedLine[]; readonly incomplete: boolean } {
		const last = after === undefined ? undefined : tailIdOf(after);
		// Of another start nothing has a number here: there is only its time to go by.
		const number = last?.start === this.#start ? last.number : 0;
		const fromMs = last === undefined || last.start === this.#start ? sinceMs : last.atMs + 1;
		const { project, function: name } = filter;
		const rings = [...this.#rings].filter(([key]) => (name === undefined ? key.startsWith(`${project}/`) : key === `${project}/${name}`));
		const found = rings.map(([, ring]) => ring.after(number));
		const lines = found
			.flatMap((each) => each.lines)
			.filter((each) => each.line.atMs >= fromMs && isWanted(filter, each))
			.sort((a, b) => a.number - b.number);
		return {
			lines: limit === 0 ? [] : this.#shown(lines.slice(-limit)),
			incomplete: lines.length > limit || found.some((each) => each.incomplete),
		};
	}

	#shown(lines: readonly RingLine[]): readonly TailedLine[] {
		return lines.map((line) => tailed(line, this.#start));
	}

	/** It is the last to go from now on. */
	#ringOf(key: string): LogRing {
		const ring = this.#rings.get(key) ?? new LogRing(FUNCTION_BYTES);
		this.#rings.delete(key);
		this.#rings.set(key, ring);
		if (this.#rings.size > FUNCTIONS) this.#rings.delete(this.#rings.keys().next().value as string);
		return ring;
	}
}

function isWanted(filter: LogFilter, { project, source, line }: RingLine): boolean {
	return (
		project === filter.project &&
		(filter.function === undefined || filter.function === source.function) &&
		(filter.invocation === undefined || filter.invocation === source.invocation) &&
		(filter.level === undefined || isAtLeast(entryOf(line).level, filter.level))
	);
}
