import { FROM_AGENT, type Frame, headerBytesOf, type InvokeHead, STREAM, type Streamed, type StreamedHead } from "@berth/contracts";
import { answerIn, invocationIn } from "./agent-words.js";

/** Where an answer goes that comes in pieces. */
export interface AnswerSink {
	begin(head: StreamedHead): void;
	/** @param taken is to be called when there is room for as much again */
	write(chunk: Uint8Array, taken: () => void): void;
}

/** Chunks smaller than this are given back together, once in so many milliseconds: a flood of small ones waits for that. */
const WHOLE_BYTES = STREAM.chunkBytes / 2;
const GRANT_MS = 1;

/** An answer in pieces, as one attempt's agent says it: each frame is held against the credit that the agent has. */
export class AnswerInlet {
	readonly #asked: InvokeHead;
	readonly #sink: AnswerSink;
	readonly #grant: (chunks: number, onTaken: () => void) => void;
	readonly #onBegun: ((head: StreamedHead) => void) | undefined;
	readonly #beganAt = performance.now();
	#credit: number = STREAM.chunks;
	/** Taken by the sink, and not given back yet. */
	#owed = 0;
	#timer: NodeJS.Timeout | undefined;
	/** A grant is on its way: who doesn't read gets no other. */
	#granting = false;
	#bytes = 0;
	#firstMs: number | undefined;
	#closed = false;

	/** @param grant tells the agent that so many chunks were taken, and when its socket has that word, or never will @param onBegun told how the answer begins */
	constructor(
		asked: InvokeHead,
		sink: AnswerSink,
		grant: (chunks: number, onTaken: () => void) => void,
		onBegun?: (head: StreamedHead) => void,
	) {
		this.#asked = asked;
		this.#sink = sink;
		this.#grant = grant;
		this.#onBegun = onBegun;
	}

	/** What came of it; undefined when the answer never began. */
	get streamed(): Streamed | undefined {
		return this.#firstMs === undefined ? undefined : { bytes: this.#bytes, firstMs: this.#firstMs };
	}

	/** Takes a `streamed` or a `chunk`. @returns what was wrong with it */
	take({ type, head, body }: Frame): string | undefined {
		if (type === FROM_AGENT.chunk)
			return invocationIn(head) === this.#asked.id ? this.#chunk(body) : "a piece of another answer than its own";
		return this.#begin(head, body);
	}

	/** Nothing is given back any more. */
	close(): void {
		this.#closed = true;
		clearTimeout(this.#timer);
	}

	#begin(head: unknown, body: Uint8Array): string | undefined {
		if (this.#firstMs !== undefined) return "an answer that begins twice";
		const answer = answerIn(head);
		if (answer === undefined) return "the beginning of an answer that isn't one";
		if (answer.id !== this.#asked.id || answer.attempt !== this.#asked.attempt) return "the beginning of another answer than its own";
		if (headerBytesOf(answer) > this.#asked.maxHeaderBytes) return "an answer whose headers are larger than they may be";
		this.#firstMs = Math.round((performance.now() - this.#beganAt) * 1000) / 1000;
		const { waiting: _, ...streamed } = answer;
		this.#sink.begin(streamed);
		this.#onBegun?.(streamed);
		return body.byteLength === 0 ? undefined : this.#chunk(body);
	}

	#chunk(body: Uint8Array): string | undefined {
		if (this.#firstMs === undefined) return "a piece of an answer that hasn't begun";
		if (body.byteLength === 0 || body.byteLength > STREAM.chunkBytes) return `a piece of an answer that has ${body.byteLength} bytes`;
		if (this.#credit === 0) return "more of an answer than was asked for";
		if (this.#bytes + body.byteLength > (this.#asked.stream?.maxBytes ?? 0)) return "a streamed answer that is larger than it may be";
		this.#credit--;
		this.#bytes += body.byteLength;
		const isWhole = body.byteLength >= WHOLE_BYTES;
		this.#sink.write(body, () => this.#taken(isWhole));
		return undefined;
	}

	#taken(isWhole: boolean): void {
		if (this.#closed) return;
		this.#owed++;
		if (isWhole) this.#giveBack();
		else this.#timer ??= setTimeout(() => this.#giveBack(), GRANT_MS);
	}

	#giveBack(): void {
		clearTimeout(this.#timer);
		this.#timer = undefined;
		if (this.#closed || this.#granting || this.#owed === 0) return;
		const owed = this.#owed;
		this.#owed = 0;
		this.#credit += owed;
		this.#granting = true;
		this.#grant(owed, () => {
			this.#granting = false;
			if (this.#timer === undefined) this.#giveBack();
		});
	}
}
