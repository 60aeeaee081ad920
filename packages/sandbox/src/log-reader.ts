import { constants, openSync } from "node:fs";
import { Socket } from "node:net";
import { StringDecoder } from "node:string_decoder";
import { setImmediate } from "node:timers/promises";
import { FIXED_LIMITS, type LogLine } from "@berth/contracts";

const LINE_CHARS = 16 * 1024;
/** A line costs more than its bytes, in the worker and in the record: a flood of empty ones must not. */
const MOST_LINES = 32 * 1024;

type Stream = LogLine["stream"];

/** What was printed during one invocation. */
export interface Log {
	readonly lines: readonly LogLine[];
	readonly truncated: boolean;
}

export const NO_LOG: Log = Object.freeze({ lines: [], truncated: false });

/**
 * Reads what a sandbox prints, from its two FIFOs, as it comes: a flood can't fill the pipe and block
 * the function for long, and what exceeds the cap is read and dropped, so the worker's memory stays
 * flat. Between invocations everything is dropped: late output belongs to nobody.
 */
export class LogReader {
	readonly #sockets: readonly Socket[];
	readonly #partial: Record<Stream, string> = { stdout: "", stderr: "" };
	/** A chunk may end within a character. */
	readonly #decoders: Readonly<Record<Stream, StringDecoder>> = { stdout: new StringDecoder("utf8"), stderr: new StringDecoder("utf8") };
	#active = false;
	#lines: LogLine[] = [];
	#bytes = 0;
	#truncated = false;

	constructor(stdout: string, stderr: string) {
		this.#sockets = [this.#open("stdout", stdout), this.#open("stderr", stderr)];
	}

	begin(): void {
		this.#active = true;
	}

	/**
	 * Everything printed since `begin`. What was written before the answer is in the pipe by then, so
	 * the same turn of the event loop that brought the answer reads it: one more phase is enough.
	 */
	async end(): Promise<Log> {
		await setImmediate();
		for (const stream of ["stdout", "stderr"] as const) {
			const cutCharacter = this.#decoders[stream].end();
			const text = this.#partial[stream] + (this.#truncated ? "" : cutCharacter);
			if (text !== "") this.#push(stream, text);
			this.#partial[stream] = "";
		}
		const log = { lines: this.#lines, truncated: this.#truncated };
		this.#active = false;
		this.#lines = [];
		this.#bytes = 0;
		this.#truncated = false;
		return log;
	}

	close(): void {
		for (const socket of this.#sockets) socket.destroy();
	}

	#open(stream: Stream, path: string): Socket {
		const socket = new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), readable: true, writable: false });
		socket.on("data", (chunk: Buffer) => this.#take(stream, chunk));
		// The sandbox's end of a FIFO can't fail by itself; if ours does, its log is what is lost.
		socket.on("error", () => socket.destroy());
		return socket;
	}

	#take(stream: Stream, chunk: Buffer): void {
		if (!this.#active || this.#truncated) return;
		const left = FIXED_LIMITS.logBytes - this.#bytes;
		this.#truncated = chunk.length > left;
		this.#bytes += Math.min(chunk.length, left);
		const text = this.#partial[stream] + this.#decoders[stream].write(chunk.subarray(0, left));
		const lines = text.split("\n");
		const rest = lines.pop() ?? "";
		for (const line of lines) this.#push(stream, line);
		if (rest.length > LINE_CHARS) this.#push(stream, rest);
		this.#partial[stream] = rest.length > LINE_CHARS ? "" : rest;
	}

	#push(stream: Stream, text: string): void {
		if (this.#lines.length >= MOST_LINES) this.#truncated = true;
		else this.#lines.push({ atMs: Date.now(), stream, text });
	}
}
