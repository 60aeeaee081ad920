import type { IncomingMessage, ServerResponse } from "node:http";
import { type BerthError, decodeStreamHead, HEADERS, type Outcome, SECOND_MS, type StreamHead } from "@berth/contracts";
import type { Response } from "express";
import { hasContent } from "../answer-headers.js";
import { isKept, noteSucceeded } from "../idempotency/idempotency.js";
import type { RequestBody } from "./request-body.js";

/** How long after a settlement that says so a stream may be on its way, milliseconds. */
const ARRIVAL_MS = 3 * SECOND_MS;
const TAKEN = 204;

/** What of an invocation goes in pieces, at its gateway: an answer on its way to its client, as fast as that reads. */
export class AnswerStream {
	readonly #client: Response;
	readonly #writeHead: (head: StreamHead) => void;
	readonly #body: RequestBody | undefined;
	readonly #begun = Promise.withResolvers<void>();
	readonly #over = Promise.withResolvers<boolean>();
	#begins = false;
	/** What has come of the head; undefined once that is whole. */
	#head: Buffer | undefined = Buffer.alloc(0);
	/** Why its client can't be given it. */
	#failure: Error | undefined;

	/** @param writeHead sets the answer's status and headers. It throws when they can't be given to anybody @param body the request's, when it comes in pieces */
	constructor(client: Response, writeHead: (head: StreamHead) => void, body?: RequestBody) {
		this.#client = client;
		this.#body = body;
		this.#writeHead = writeHead;
	}

	/** Whether any of it has come: then the answer is this one, however it ends. */
	get begun(): boolean {
		return this.#begins;
	}

	get hasBody(): boolean {
		return this.#body !== undefined;
	}

	/** Why the request's body was broken off, if it was. */
	get refused(): BerthError | undefined {
		return this.#body?.refused;
	}

	/** The request's body, to the worker that asks for it. */
	give(response: ServerResponse): void {
		this.#body?.give(response);
	}

	/** What a worker sends: its head, then the answer. */
	take(request: IncomingMessage, response: ServerResponse): void {
		this.#begins = true;
		this.#begun.resolve();
		const client = this.#client;
		const refuse = () => void request.destroy();
		const resume = () => void request.resume();
		const onGone = isKept(client) ? resume : refuse;
		client.once("close", onGone);
		client.on("drain", resume);
		request.on("data", (chunk: Buffer) => {
			try {
				if (!this.#pass(chunk)) request.pause();
			} catch (error) {
				this.#failure ??= error as Error;
				refuse();
			}
		});
		request.once("end", () => {
			this.#over.resolve(this.#head === undefined);
			response.writeHead(TAKEN).end();
		});
		request.once("close", () => {
			client.off("close", onGone);
			client.off("drain", resume);
			this.#over.resolve(false);
		});
		request.on("error", () => undefined);
		if (client.closed && !isKept(client)) refuse();
	}

	/** Its end, once the invocation is settled: the answer's, with the outcome in a trailer, or a cut. @throws Error why no client can be given it */
	async end(outcome: Outcome): Promise<void> {
		const late = setTimeout(() => this.#over.resolve(false), ARRIVAL_MS);
		await Promise.race([this.#begun.promise, this.#over.promise]);
		clearTimeout(late);
		const isWhole = await this.#over.promise;
		if (this.#failure !== undefined) throw this.#failure;
		if (isWhole && outcome === "succeeded") this.#succeed();
		else this.cut();
	}

	/** Ends the connection in the middle of the answer, so that what came isn't taken for all of it. */
	cut(): void {
		const { socket } = this.#client;
		if (socket === null || socket.destroyed) return;
		// Before HTTP/1.1 the end of the connection is the end of an answer.
		if (this.#client.req.httpVersionMinor === 0) socket.resetAndDestroy();
		else socket.destroySoon();
	}

	#succeed(): void {
		const client = this.#client;
		noteSucceeded(client);
		if (!client.headersSent) client.setHeader(HEADERS.outcome, "succeeded");
		else if (this.#isChunked) client.addTrailers({ [HEADERS.outcome]: "succeeded" });
		client.end();
	}

	/** Trailers come after a chunked body only (RFC 9112, 7.1.2), which HTTP/1.0 doesn't have. */
	get #isChunked(): boolean {
		return this.#client.req.httpVersionMinor > 0;
	}

	/** @returns whether there is room for more. @throws Error when nobody can be given it */
	#pass(chunk: Buffer): boolean {
		const client = this.#client;
		if (client.writableEnded) throw new Error("the client was answered otherwise");
		if (this.#head === undefined) return !hasContent(client.statusCode) || client.write(chunk);
		this.#head = Buffer.concat([this.#head, chunk]);
		const decoded = decodeStreamHead(this.#head);
		if (decoded === undefined) return true;
		this.#head = undefined;
		this.#writeHead(decoded.head);
		// There is nothing to wait for but its outcome.
		if (!hasContent(client.statusCode)) return true;
		if (this.#isChunked) client.setHeader("trailer", "Berth-Outcome");
		// Who waits for the first event has the head at once.
		if (decoded.rest.length === 0) client.flushHeaders();
		return decoded.rest.length === 0 || client.write(decoded.rest);
	}
}
