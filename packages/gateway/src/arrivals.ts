import type { IncomingMessage } from "node:http";

/** Requests whose bodies are still coming: all of one has to be here in time, but of those that may take theirs. */
export class Arrivals {
	readonly #since = new Map<IncomingMessage, number>();
	readonly #maxMs: number;
	readonly #mayTakeTime: (request: IncomingMessage) => boolean;

	constructor(maxMs: number, mayTakeTime: (request: IncomingMessage) => boolean) {
		this.#maxMs = maxMs;
		this.#mayTakeTime = mayTakeTime;
	}

	/** A request whose head is here. */
	began(request: IncomingMessage): void {
		const { "content-length": length = "0", "transfer-encoding": coding } = request.headers;
		if (length === "0" && coding === undefined) return;
		this.#since.set(request, performance.now());
		request.once("end", () => this.#since.delete(request));
		request.once("close", () => this.#since.delete(request));
	}

	/** Those whose time is over. */
	late(): IncomingMessage[] {
		const nowMs = performance.now();
		const late = [...this.#since].filter(([request, sinceMs]) => nowMs - sinceMs > this.#maxMs && !this.#mayTakeTime(request));
		return late.map(([request]) => request);
	}
}
