import { randomUUID, timingSafeEqual } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { type StreamPlace, streamKey, streamPath } from "@berth/contracts";

/** Both ends of an invocation that may go in pieces. */
export interface Exchanged {
	/** What its worker answers. */
	take(request: IncomingMessage, response: ServerResponse): void;
	/** Whether its request's body is to be had. */
	readonly hasBody: boolean;
	/** What its worker asks for. */
	give(response: ServerResponse): void;
}

interface Expected {
	readonly key: Buffer;
	readonly exchanged: Exchanged;
	/** What was had already: each is had once. */
	readonly had: Set<string>;
}

/** Where workers bring answers in pieces, and get requests' bodies, of the invocations that this gateway owns. */
export class Streams {
	#address: string;
	readonly #expected = new Map<string, Expected>();
	/** Requests that may take longer than others to be here. */
	readonly #slow = new WeakSet<IncomingMessage>();

	/** After so long in which a client sent next to nothing of a body that its function waits for, that is broken off, milliseconds. */
	readonly bodyStallMs: number;

	/** @param socketPath where `server` listens */
	constructor(socketPath: string, bodyStallMs: number) {
		this.#address = `unix:${socketPath}`;
		this.bodyStallMs = bodyStallMs;
	}

	/** What there is for workers; it is to listen where nobody else gets. A stream may take as long as its invocation. */
	server(): Server {
		return createServer({ requestTimeout: 0, headersTimeout: 0, keepAliveTimeout: 0 }, (request, response) =>
			this.serve(request, response),
		);
	}

	/** Where workers of other machines come, too. @param address `http://` */
	movesTo(address: string): void {
		this.#address = address;
	}

	/** From now on an invocation's worker may come, until `close`. */
	open(id: string, exchanged: Exchanged): StreamPlace {
		const place: StreamPlace = { address: this.#address, token: randomUUID(), ...(exchanged.hasBody ? { hasBody: true } : {}) };
		this.#expected.set(streamPath(id), { key: Buffer.from(streamKey(place)), exchanged, had: new Set() });
		return place;
	}

	/** A request whose body comes as fast as its function reads. */
	allow(request: IncomingMessage): void {
		this.#slow.add(request);
	}

	allows(request: IncomingMessage): boolean {
		return this.#slow.has(request);
	}

	close(id: string): void {
		this.#expected.delete(streamPath(id));
	}

	/** A worker's request. */
	serve(request: IncomingMessage, response: ServerResponse): void {
		const { method = "", url = "", headers } = request;
		const expected = this.#expected.get(url);
		const key = Buffer.from(headers.authorization ?? "");
		if (expected === undefined || key.length !== expected.key.length || !timingSafeEqual(key, expected.key) || expected.had.has(method)) {
			response.writeHead(404, { connection: "close" }).end();
			return;
		}
		expected.had.add(method);
		if (method === "PUT") expected.exchanged.take(request, response);
		else if (method === "GET" && expected.exchanged.hasBody) expected.exchanged.give(response);
		else response.writeHead(404, { connection: "close" }).end();
	}
}
