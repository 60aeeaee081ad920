import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import type { Response } from "express";

/** A reader is shown that the stream is alive, milliseconds. */
const PING_MS = 15_000;

/** An answer of Server-Sent Events (WHATWG HTML 9.2) that is written only as fast as it is read. */
export class EventStream {
	readonly #response: Response;
	readonly #gone = new AbortController();
	#spokeAtMs = performance.now();

	/** Begins the answer. */
	constructor(response: Response) {
		this.#response = response;
		response.once("close", () => this.#gone.abort());
		response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store" });
		response.flushHeaders();
	}

	/** Whether nobody reads any more. */
	get isGone(): boolean {
		return this.#gone.signal.aborted;
	}

	/** Resolves when the reader has room again, or is gone. @param id that a reader goes on after when it comes again */
	async send(event: string, data: object, id?: string | number): Promise<void> {
		await this.#write(`${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
	}

	/** The last event. */
	end(event: string, data: object): void {
		this.#response.end(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
	}

	/** Waits for news, or for a while, or for the reader's end. */
	async wait(news: Promise<void>, atMostMs: number): Promise<void> {
		if (performance.now() - this.#spokeAtMs >= PING_MS) await this.#write(": ping\n\n");
		const over = new AbortController();
		const signal = AbortSignal.any([this.#gone.signal, over.signal]);
		try {
			await Promise.race([news, pause(atMostMs, undefined, { signal })]);
		} catch (error) {
			if (!signal.aborted) throw error;
		} finally {
			over.abort();
		}
	}

	async #write(frame: string): Promise<void> {
		const { signal } = this.#gone;
		this.#spokeAtMs = performance.now();
		if (this.#response.write(frame) || signal.aborted) return;
		await once(this.#response, "drain", { signal }).catch((error: unknown) => {
			if (!signal.aborted) throw error;
		});
	}
}
