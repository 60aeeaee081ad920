import type { IncomingMessage, ServerResponse } from "node:http";
import { decodeStreamHead, HEADERS, type Outcome, SECOND_MS, type StreamHead } from "@berth/contracts";
import type { Response } from "express";

/** How long after a settlement that says so a stream may be on its way, milliseconds. */
const ARRIVAL_MS = 3 * SECOND_MS;
const TAKEN = 204;

/** An answer in pieces on its way to its client, as fast as that reads. */
export class AnswerStream {
	readonly #client: Response;
	readonly #writeHead: (head: StreamHead) => void;
	readonly #begun = Promise.withResolvers<void>();
	readonly #over = Promise.withResolvers<boolean>();
	#begins = false;

	/** @param writeHead sets the answer's status and headers. It throws when they can't be given to anybody */
	constructor(client: Response, writeHead: (head: StreamHead) => void) {
		this.#client = client;
		this.#writeHead = writeHead;
	}

	/** Whether any of it has come: then the answer is this one, however it ends. */
	get begun(): boolean {
		return this.#begins;
	}

	/** What a worker sends: its head, then the answer. */
	take(request: IncomingMessage, response: ServerResponse): void {
		this.#begins = true;
		this.#begun.resolve();
		const client = this.#client;
		let held: Buffer | undefined = Buffer.alloc(0);
		const refuse = () => void request.destroy();
		if (client.closed) {
			refuse();
			this.#over.resolve(false);
			return;
		}
		client.once("close", refuse);
		const resume = () => void request.resume();
		client.on("drain", resume);
		request.on("data", (chunk: Buffer) => {
			try {
				const piece = held === undefined ? chunk : this.#headIn(Buffer.concat([held, chunk]));
				if (piece === undefined) held = Buffer.concat([held as Buffer, chunk]);
				else {
					held = undefined;
					if (piece.length > 0 && !client.write(piece)) request.pause();
				}
			} catch {
				refuse();
			}
		});
		request.once("end", () => {
			this.#over.resolve(held === undefined);
			response.writeHead(TAKEN).end();
		});
		request.once("close", () => {
			client.off("close", refuse);
			client.off("drain", resume);
			this.#over.resolve(false);
		});
		request.on("error", () => undefined);
	}

	/** Its end, once the invocation is settled: the answer's, with the outcome in a trailer, or a cut. */
	async end(outcome: Outcome): Promise<void> {
		const late = setTimeout(() => this.#over.resolve(false), ARRIVAL_MS);
		await Promise.race([this.#begun.promise, this.#over.promise]);
		clearTimeout(late);
		if ((await this.#over.promise) && outcome === "succeeded") {
			this.#client.addTrailers({ [HEADERS.outcome]: outcome });
			this.#client.end();
		} else this.cut();
	}

	/** Ends the connection in the middle of the answer, so that what came isn't taken for all of it. */
	cut(): void {
		const { socket } = this.#client;
		if (socket === null || socket.destroyed) return;
		// Before HTTP/1.1 the end of the connection is the end of an answer.
		if (this.#client.req.httpVersionMinor === 0) socket.resetAndDestroy();
		else socket.destroySoon();
	}

	/** @returns what follows the head; undefined while that isn't whole */
	#headIn(bytes: Buffer): Buffer | undefined {
		const decoded = decodeStreamHead(bytes);
		if (decoded === undefined) return undefined;
		this.#writeHead(decoded.head);
		this.#client.setHeader("trailer", "Berth-Outcome");
		// Who waits for the first event has the head at once.
		if (decoded.rest.length === 0) this.#client.flushHeaders();
		return decoded.rest;
	}
}
