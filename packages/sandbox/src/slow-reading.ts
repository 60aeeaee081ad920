import type { Readable } from "node:stream";

/** So long nothing is read after each piece, milliseconds: with pieces of a pipe's 64 KiB, 6 MiB a second. */
const PAUSE_MS = 10;

/**
 * Reads a stream piece by piece with a pause after each, as long as what comes is dropped anyway: who prints without end would have this
 * process read without end, at the platform's priority (0.85 of a core, measured with four sandboxes).
 */
export class SlowReading {
	readonly #stream: Readable;
	readonly #pauseMs: number;
	#isSlow = false;
	#timer: NodeJS.Timeout | undefined;

	constructor(stream: Readable, pauseMs = PAUSE_MS) {
		this.#stream = stream;
		this.#pauseMs = pauseMs;
		stream.on("data", () => this.#pause());
		stream.once("close", () => clearTimeout(this.#timer));
	}

	slow(isSlow: boolean): void {
		if (isSlow === this.#isSlow) return;
		this.#isSlow = isSlow;
		if (isSlow) this.#pause();
		else this.#resume();
	}

	#pause(): void {
		if (!this.#isSlow || this.#timer !== undefined) return;
		this.#stream.pause();
		this.#timer = setTimeout(() => this.#resume(), this.#pauseMs).unref();
	}

	#resume(): void {
		clearTimeout(this.#timer);
		this.#timer = undefined;
		this.#stream.resume();
	}
}
