import { StringDecoder } from "node:string_decoder";
import { setImmediate } from "node:timers/promises";
import { FIXED_LIMITS, KIB, LEVEL_MARK, type LogLine, unmarked } from "@berth/contracts";
import type { OutputStream, SandboxOutput } from "./engine.js";
import { MarkScanner, newOutputMark } from "./output-mark.js";
import type { Redactor } from "./redactor.js";
import { within } from "./within.js";

const LINE_CHARS = 16 * KIB;
/** A line costs more than its bytes, in the worker and in the record: a flood of empty ones must not. */
const MOST_LINES = 32 * 1024;
/** How long a mark is waited for that a function's closed stdout may have swallowed, milliseconds. */
const MARK_MS = 1000;
const STREAMS = ["stdout", "stderr"] as const;

interface Marks {
	readonly text: string;
	readonly scanners: Readonly<Record<OutputStream, MarkScanner>>;
	/** Resolved when both streams have come to theirs. */
	readonly seen: PromiseWithResolvers<true>;
}

/** What was printed during one invocation. */
export interface Log {
	readonly lines: readonly LogLine[];
	readonly truncated: boolean;
}

export type LineListener = (line: LogLine) => void;

export const NO_LOG: Log = Object.freeze({ lines: [], truncated: false });

/**
 * Reads what a sandbox prints as it comes: a flood can't fill the pipe and block the function for long, and
 * what exceeds the cap is read and dropped, so the worker's memory stays flat, and slowly, so that it has little of the worker's time. Between invocations everything is
 * dropped: late output belongs to nobody. What belongs to an invocation that was answered and goes on has a log of its own.
 */
export class LogReader {
	readonly #output: SandboxOutput;
	readonly #partial: Record<OutputStream, string> = { stdout: "", stderr: "" };
	/** A chunk may end within a character. */
	readonly #decoders: Readonly<Record<OutputStream, StringDecoder>> = {
		stdout: new StringDecoder("utf8"),
		stderr: new StringDecoder("utf8"),
	};
	#active = false;
	/** Whoever waits for the log wants what is left of it at once. */
	#ends = false;
	#lines: LogLine[] = [];
	#bytes = 0;
	#truncated = false;
	#mostBytes: number = FIXED_LIMITS.logBytes;
	#listener: LineListener | undefined;
	#marks: Marks | undefined;
	/** Of the secrets that its function has. */
	redactor: Redactor | undefined;

	constructor(output: SandboxOutput) {
		this.#output = output;
		output.listen((stream, chunk) => this.#take(stream, chunk));
	}

	/** @returns the mark that the agent has to print to both streams before it answers; undefined where it needn't */
	begin(): string | undefined {
		this.#active = true;
		this.#ends = false;
		this.#listener = undefined;
		if (!this.#output.lags) return undefined;
		if (this.#marks !== undefined) this.#addHeld(this.#marks);
		const text = newOutputMark();
		this.#marks = {
			text,
			scanners: { stdout: new MarkScanner(text), stderr: new MarkScanner(text) },
			seen: Promise.withResolvers(),
		};
		return text;
	}

	/**
	 * Everything printed since `begin`. What was written before the answer is in the pipe by then, so
	 * the same turn of the event loop that brought the answer reads it: one more phase is enough. Where output
	 * comes by a longer way it is read up to the agent's marks, or to its end.
	 */
	async end(): Promise<Log> {
		this.#ends = true;
		this.#output.slow(false);
		await setImmediate();
		// What was left in a pipe that had been read slowly belongs to this invocation as well: it is read in the next turn.
		if (this.#truncated) await setImmediate();
		if (this.#marks !== undefined) await this.#toItsEnd(this.#marks);
		for (const stream of STREAMS) {
			const cutCharacter = this.#decoders[stream].end();
			const text = this.#partial[stream] + (this.#truncated ? "" : cutCharacter);
			if (text !== "") this.#push(stream, text, this.#truncated);
			this.#partial[stream] = "";
		}
		const log = { lines: this.#lines, truncated: this.#truncated };
		this.#active = false;
		this.#lines = [];
		this.#bytes = 0;
		this.#truncated = false;
		this.#mostBytes = FIXED_LIMITS.logBytes;
		return log;
	}

	/** Has somebody told of each line of this invocation, beginning with those that are there. */
	tell(listener: LineListener): void {
		for (const line of this.#lines) listener(line);
		this.#listener = listener;
	}

	/** From now on it is what comes after the answer, up to so many bytes. `end` once more ends it. */
	goOn(mostBytes: number): void {
		this.#active = true;
		this.#ends = false;
		this.#mostBytes = mostBytes;
	}

	/** A line of ours among those of the invocation that runs, if one does. */
	say(text: string): void {
		if (this.#active && !this.#truncated) this.#push("stderr", `${LEVEL_MARK}W${text}`);
	}

	close(): void {
		this.#output.close();
	}

	async #toItsEnd({ seen, scanners }: Marks): Promise<void> {
		await within(Promise.race([seen.promise, this.#output.ended]), MARK_MS);
		this.#marks = undefined;
		this.#addHeld({ scanners });
	}

	#addHeld({ scanners }: Pick<Marks, "scanners">): void {
		for (const stream of STREAMS) this.#add(stream, scanners[stream].rest());
	}

	#take(stream: OutputStream, chunk: Buffer): void {
		if (this.#marks === undefined) {
			// What comes before the agent was told of a mark, or after it was found, of an output that lags belongs to nobody.
			this.#add(stream, chunk);
			return;
		}
		const { scanners, seen } = this.#marks;
		this.#add(stream, scanners[stream].take(chunk));
		if (STREAMS.every((each) => scanners[each].found)) seen.resolve(true);
	}

	#add(stream: OutputStream, chunk: Buffer): void {
		if (!this.#active || this.#truncated) return;
		const left = this.#mostBytes - this.#bytes;
		if (chunk.length > left) this.#cut();
		this.#bytes += Math.min(chunk.length, left);
		const text = this.#partial[stream] + this.#decoders[stream].write(chunk.subarray(0, left));
		const lines = text.split("\n");
		const rest = lines.pop() ?? "";
		for (const line of lines) this.#push(stream, line);
		this.#partial[stream] = this.#unended(stream, rest);
	}

	#cut(): void {
		this.#truncated = true;
		if (!this.#ends) this.#output.slow(true);
	}

	/** A line without an end, so far. What is too much of it is one of its own. @returns what goes on, which may have the beginning of a secret */
	#unended(stream: OutputStream, rest: string): string {
		const heldChars = this.redactor?.heldChars ?? 0;
		if (rest.length <= LINE_CHARS + heldChars) return rest;
		const redacted = this.redactor?.redact(rest) ?? rest;
		this.#push(stream, redacted.slice(0, redacted.length - heldChars));
		return redacted.slice(redacted.length - heldChars);
	}

	/** @param isCut whether there was more of it */
	#push(stream: OutputStream, printed: string, isCut = false): void {
		if (this.#lines.length >= MOST_LINES) {
			this.#cut();
			return;
		}
		const text = (isCut ? this.redactor?.redactCut(printed) : this.redactor?.redact(printed)) ?? printed;
		const line = { atMs: Date.now(), stream, ...unmarked(text) };
		this.#lines.push(line);
		this.#listener?.(line);
	}
}
