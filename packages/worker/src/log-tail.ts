import { BerthError, KIB, type LineSource, type LogLine, MINUTE_MS, type TailedLine, tailIdOf } from "@berth/contracts";
import type { LogQuestion, NodeAnswer } from "@berth/queue";
import { isWanted, LogFollower } from "./log-follower.js";
import { LogRing, tailed } from "./log-ring.js";

/** What is kept of one function, and of how many: 8 MiB in all. */
const FUNCTION_BYTES = 128 * KIB;
const FUNCTIONS = 64;
const FOLLOWERS = 256;
/** A follower that nobody asks for any more goes: longer than a reader may take for what it has. */
const FOLLOWER_KEPT_MS = MINUTE_MS;

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
	readonly #followers = new Map<string, { readonly follower: LogFollower; ends: NodeJS.Timeout }>();

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
				const taken = { number: ++this.#lines, source, line, isAfterAnswer };
				ring.add(taken);
				for (const { follower } of this.#followers.values()) follower.offer(taken, project);
			},
			answered: () => {
				isAfterAnswer = true;
			},
		};
	}

	/** @throws BerthError too_busy */
	async answer(question: LogQuestion): Promise<NodeAnswer> {
		const { follower: id } = question;
		if (id === undefined) return { kind: "logs", lines: this.#newest(question).lines, dropped: 0 };
		if (question.ends === true) {
			this.#forget(id);
			return { kind: "logs", lines: [], dropped: 0 };
		}
		const known = this.#followers.get(id);
		if (known !== undefined) {
			known.ends.refresh();
			const { lines, dropped } = await known.follower.take();
			return { kind: "logs", lines: lines.map((line) => tailed(line, this.#start)), dropped };
		}
		return { kind: "logs", dropped: 0, ...this.#begin(id, question) };
	}

	close(): void {
		for (const id of this.#followers.keys()) this.#forget(id);
	}

	#begin(id: string, question: LogQuestion): { readonly lines: readonly TailedLine[]; readonly incomplete?: true } {
		if (this.#followers.size >= FOLLOWERS) throw new BerthError("too_busy", `${FOLLOWERS} follow logs of this node already; try again`);
		const ends = setTimeout(() => this.#forget(id), FOLLOWER_KEPT_MS);
		ends.unref();
		this.#followers.set(id, { follower: new LogFollower(question.filter), ends });
		const { lines, incomplete } = this.#newest(question);
		return { lines, ...(incomplete && question.after !== undefined ? { incomplete } : {}) };
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
			.filter((each) => each.line.atMs >= fromMs && isWanted(filter, project, each))
			.sort((a, b) => a.number - b.number);
		return {
			lines: limit === 0 ? [] : lines.slice(-limit).map((line) => tailed(line, this.#start)),
			incomplete: lines.length > limit || found.some((each) => each.incomplete),
		};
	}

	/** It is the last to go from now on. */
	#ringOf(key: string): LogRing {
		const ring = this.#rings.get(key) ?? new LogRing(FUNCTION_BYTES);
		this.#rings.delete(key);
		this.#rings.set(key, ring);
		if (this.#rings.size > FUNCTIONS) this.#rings.delete(this.#rings.keys().next().value as string);
		return ring;
	}

	#forget(id: string): void {
		const known = this.#followers.get(id);
		if (known === undefined) return;
		clearTimeout(known.ends);
		this.#followers.delete(id);
		known.follower.end();
	}
}
