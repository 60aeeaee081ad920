import type { Duplex } from "node:stream";
import type { OutputStream, SandboxOutput } from "../../engine.js";
import { SlowReading } from "../../slow-reading.js";

const HEADER_BYTES = 8;
const STREAMS: Readonly<Record<number, OutputStream>> = { 1: "stdout", 2: "stderr" };

/**
 * What a container prints, as the Engine sends it on an attached connection: pieces, each behind a header of its stream and its
 * length (Docker Engine API, "Attach to a container", stream format). Nothing is kept but a cut header.
 */
export class ContainerOutput implements SandboxOutput {
	readonly lags = true;
	readonly #socket: Duplex;
	readonly #reading: SlowReading;
	readonly #ended = Promise.withResolvers<void>();
	#listener: (stream: OutputStream, chunk: Buffer) => void = () => undefined;
	#header = Buffer.alloc(0);
	#stream: OutputStream = "stdout";
	/** Bytes of the piece that haven't come yet. */
	#left = 0;

	constructor(socket: Duplex) {
		this.#socket = socket;
		socket.on("data", (chunk: Buffer) => this.#take(chunk));
		this.#reading = new SlowReading(socket);
		// The container's end, or the Engine's: whoever waits for more has it said by the exit, or by the events' end.
		socket.on("error", () => socket.destroy());
		socket.once("close", () => this.#ended.resolve());
	}

	get ended(): Promise<void> {
		return this.#ended.promise;
	}

	listen(listener: (stream: OutputStream, chunk: Buffer) => void): void {
		this.#listener = listener;
	}

	slow(isSlow: boolean): void {
		this.#reading.slow(isSlow);
	}

	close(): void {
		this.#socket.destroy();
	}

	#take(chunk: Buffer): void {
		let rest = chunk;
		while (rest.length > 0) {
			if (this.#left === 0) {
				const wanted = HEADER_BYTES - this.#header.length;
				this.#header = Buffer.concat([this.#header, rest.subarray(0, wanted)]);
				rest = rest.subarray(wanted);
				if (this.#header.length < HEADER_BYTES) return;
				this.#stream = STREAMS[this.#header[0] as number] ?? "stdout";
				this.#left = this.#header.readUInt32BE(4);
				this.#header = Buffer.alloc(0);
			}
			const piece = rest.subarray(0, this.#left);
			this.#left -= piece.length;
			rest = rest.subarray(piece.length);
			if (piece.length > 0) this.#listener(this.#stream, piece);
		}
	}
}
