import { createServer, type RequestListener, type Server, type ServerResponse, STATUS_CODES } from "node:http";
import type { Duplex } from "node:stream";
import { type ErrorCode, KIB, problemOf, SECOND_MS } from "@berth/contracts";

/** How long a request's head, and all of it, may take to arrive, and how often that is looked at, milliseconds. */
const HEAD_MS = 15 * SECOND_MS;
const REQUEST_MS = 60 * SECOND_MS;
const LOOK_MS = 5 * SECOND_MS;
const KEEP_ALIVE_MS = 65 * SECOND_MS;
const HEADER_BYTES = 64 * KIB;
/** How long who was refused may take to read why, milliseconds. */
const LINGER_MS = SECOND_MS;

const REFUSALS: Readonly<Record<string, readonly [ErrorCode, string]>> = {
	ERR_HTTP_REQUEST_TIMEOUT: ["request_timeout", `the head has to be here within ${HEAD_MS} ms, all of the request within ${REQUEST_MS} ms`],
	HPE_HEADER_OVERFLOW: ["headers_too_large", `headers may have ${HEADER_BYTES} bytes together`],
};
const MALFORMED = ["invalid_request", "this isn't HTTP/1.1 as RFC 9112 has it"] as const;

/** The HTTP server of a gateway; until it is given its application it answers 503. */
export interface GatewayServer {
	readonly server: Server;
	/** From now on requests are this one's. */
	serve(application: RequestListener): void;
	/**
	 * Takes no further connection and lets what is in flight end; each connection is closed with its answer, also those
	 * that a client would keep. @param graceMs after which the rest is cut off
	 */
	close(graceMs: number): Promise<void>;
}

/** @param timing for tests; milliseconds */
export function createGatewayServer(timing = { headMs: HEAD_MS, requestMs: REQUEST_MS, lookMs: LOOK_MS }): GatewayServer {
	let application: RequestListener = (_request, response) => {
		const problem = problemOf("unavailable", "the gateway is starting");
		response.writeHead(problem.status, { "content-type": "application/problem+json", "retry-after": "1" }).end(JSON.stringify(problem));
	};
	const server = createServer({
		headersTimeout: timing.headMs,
		requestTimeout: timing.requestMs,
		connectionsCheckingInterval: timing.lookMs,
		keepAliveTimeout: KEEP_ALIVE_MS,
		maxHeaderSize: HEADER_BYTES,
	});
	const answers = new Answers(server);
	const take: RequestListener = (request, response) => {
		answers.began(response);
		application(request, response);
	};
	server.on("request", take);
	// The body is asked for when it is going to be read, so that what is refused isn't sent.
	server.on("checkContinue", take);
	server.on("clientError", refuse);
	return {
		server,
		serve: (next) => {
			application = next;
		},
		close: (graceMs) => answers.end(graceMs),
	};
}

/** The answers that a server is giving, so that it can end with the last of them. */
class Answers {
	readonly #server: Server;
	readonly #open = new Set<ServerResponse>();
	#ending = false;

	constructor(server: Server) {
		this.#server = server;
	}

	began(response: ServerResponse): void {
		if (this.#ending) response.setHeader("connection", "close");
		this.#open.add(response);
		response.once("close", () => {
			this.#open.delete(response);
			// One whose head was on its way already has promised its client to keep the connection.
			if (this.#ending) this.#server.closeIdleConnections();
		});
	}

	async end(graceMs: number): Promise<void> {
		this.#ending = true;
		const closed = new Promise<void>((resolve) => this.#server.close(() => resolve()));
		for (const response of this.#open) if (!response.headersSent) response.setHeader("connection", "close");
		const hurry = setTimeout(() => this.#server.closeAllConnections(), graceMs);
		await closed;
		clearTimeout(hurry);
	}
}

/** What never became a request is refused on its socket. */
function refuse(error: NodeJS.ErrnoException, socket: Duplex & { readonly _httpMessage?: { readonly headersSent: boolean } | null }): void {
	if (error.code === "ECONNRESET" || !socket.writable || socket._httpMessage?.headersSent === true) {
		socket.destroy();
		return;
	}
	const [code, detail] = REFUSALS[error.code ?? ""] ?? MALFORMED;
	const problem = problemOf(code, detail);
	const body = JSON.stringify(problem);
	const head = [
		`HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
		"content-type: application/problem+json",
		`content-length: ${Buffer.byteLength(body)}`,
		"connection: close",
	];
	socket.end(`${head.join("\r\n")}\r\n\r\n${body}`);
	setTimeout(() => socket.destroy(), LINGER_MS).unref();
}
