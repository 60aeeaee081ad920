import { constants, openSync } from "node:fs";
import { Socket } from "node:net";
import type { OutputStream, SandboxOutput } from "./engine.js";
import { SlowReading } from "./slow-reading.js";

/** What a sandbox prints into two FIFOs: what was written before the agent's answer is in the pipe when that comes. */
export class FifoOutput implements SandboxOutput {
	readonly lags = false;
	readonly #sockets: readonly Socket[];
	readonly #readings: readonly SlowReading[];
	readonly #ended = Promise.withResolvers<void>();
	#listener: (stream: OutputStream, chunk: Buffer) => void = () => undefined;

	/** @throws Error when they can't be read */
	constructor(stdout: string, stderr: string, pauseMs?: number) {
		this.#sockets = [this.#open("stdout", stdout), this.#open("stderr", stderr)];
		this.#readings = this.#sockets.map((socket) => new SlowReading(socket, pauseMs));
	}

	get ended(): Promise<void> {
		return this.#ended.promise;
	}

	listen(listener: (stream: OutputStream, chunk: Buffer) => void): void {
		this.#listener = listener;
	}

	slow(isSlow: boolean): void {
		for (const reading of this.#readings) reading.slow(isSlow);
	}

	close(): void {
		for (const socket of this.#sockets) socket.destroy();
		this.#ended.resolve();
	}

	#open(stream: OutputStream, path: string): Socket {
		const socket = new Socket({ fd: openSync(path, constants.O_RDONLY | constants.O_NONBLOCK), readable: true, writable: false });
		socket.on("data", (chunk: Buffer) => this.#listener(stream, chunk));
		// The sandbox's end of a FIFO can't fail by itself; if ours does, its log is what is lost.
		socket.on("error", () => socket.destroy());
		return socket;
	}
}
