import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { BerthError, problemOf } from "@berth/contracts";
import type { Response } from "express";
import { readmit } from "./auth.js";
import type { Services } from "./services.js";

/** A reader is shown that the stream is alive, milliseconds. */
const PING_MS = 15_000;
/** Whether its key is good still is looked after as often without news of revocations: for those that expire, milliseconds. */
const READMIT_MS = 15_000;

/**
 * An answer of Server-Sent Events (WHATWG HTML 9.2) that is written only as fast as it is read. It ends with an event `problem`
 * once whoever reads wouldn't be let in any more: the key was revoked, or has expired, or the project was removed.
 */
export class EventStream {
	readonly #response: Response;
	readonly #gone = new AbortController();
	#spokeAtMs = performance.now();

	/** Begins the answer. @param services with the keys that the request was let in by */
	constructor(response: Response, services: Pick<Services, "keys" | "log">) {
		this.#response = response;
		response.once("close", () => this.#gone.abort());
		const look = () => void this.#readmit(services);
		const unlisten = services.keys.onRevocations(look);
		const looking = setInterval(look, READMIT_MS).unref();
		this.#gone.signal.addEventListener("abort", () => {
			unlisten();
			clearInterval(looking);
		});
		response.writeHead(200, { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-store" });
		response.flushHeaders();
	}

	/** Whether nobody reads any more, or nobody may. */
	get isGone(): boolean {
		return this.#gone.signal.aborted;
	}

	/** Resolves when the reader has room again, or is gone. @param id that a reader goes on after when it comes again */
	async send(event: string, data: object, id?: string | number): Promise<void> {
		await this.#write(`${id === undefined ? "" : `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
	}

	/** The last event. */
	end(event: string, data: object): void {
		if (this.isGone) return;
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

	async #readmit({ keys, log }: Pick<Services, "keys" | "log">): Promise<void> {
		try {
			await readmit(this.#response.req, keys);
		} catch (error) {
			// While Redis is away nobody revokes either; when it is back there is news.
			if (error instanceof BerthError && error.code === "unavailable") return;
			if (!(error instanceof BerthError)) log.error({ err: error }, "whether a stream's key is good still couldn't be found out");
			const { code, message } = error instanceof BerthError ? error : new BerthError("platform_error", "Berth failed; its log says more");
			this.end("problem", problemOf(code, `the stream ends: ${message}`));
			this.#gone.abort();
		}
	}

	async #write(frame: string): Promise<void> {
		const { signal } = this.#gone;
		if (signal.aborted) return;
		this.#spokeAtMs = performance.now();
		if (this.#response.write(frame) || signal.aborted) return;
		await once(this.#response, "drain", { signal }).catch((error: unknown) => {
			if (!signal.aborted) throw error;
		});
	}
}
