import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { Socket } from "node:net";
import { setTimeout as wait } from "node:timers/promises";
import type { TlsIdentity } from "@berth/config";
import { KIB, SECOND_MS } from "@berth/contracts";
import { Arrivals } from "./arrivals.js";
import { type ConnectionBounds, Connections } from "./connections.js";
import { Listeners } from "./listeners.js";
import { refuse, refuseConnection, refuseMalformed, refuseTunnel } from "./refused-requests.js";
import { faultOf } from "./request-form.js";
import { timeAnswer } from "./server-timing.js";
import { StalledError } from "./stalled.js";

/** How long a request's head, and all of it, may take to arrive, and how often that is looked at, milliseconds. */
const HEAD_MS = 15 * SECOND_MS;
const REQUEST_MS = 60 * SECOND_MS;
const LOOK_MS = 5 * SECOND_MS;
const KEEP_ALIVE_MS = 65 * SECOND_MS;
const HEADER_BYTES = 64 * KIB;
/** For a year; of this host alone (RFC 6797). */
const STRICT_TRANSPORT = "max-age=31536000";
/** How long who is given up may take to be answered, and then to read that, milliseconds. */
const LAST_WORD_MS = SECOND_MS / 2;
/** How long a connection that is kept may be unused before it is closed for another gateway, milliseconds. */
const UNUSED_MS = 5 * SECOND_MS;
const TIMEOUT = `the head has to be here within ${HEAD_MS} ms, all of the request within ${REQUEST_MS} ms`;
const OVERFLOW = `headers may have ${HEADER_BYTES} bytes together`;

/** How often answers are looked at that their clients haven't taken yet, milliseconds. */
const SWEEP_MS = SECOND_MS;
/** Less than this isn't progress, unless it is all: who takes a byte now and then is no reader. */
const STEP_BYTES = 64 * KIB;

/** The HTTP server of a gateway; until it is given its application it answers 503. */
export interface GatewayServer {
	readonly server: Server;
	/**
	 * Listens on descriptors of one socket that is bound already. libuv accepts one connection of each in a round of the event loop, and while many come
	 * rounds are long: over one alone whoever comes anew waits for as many rounds as others came before.
	 */
	listen(fds: readonly number[]): Promise<void>;
	/** From now on requests are this one's. */
	serve(application: RequestListener): void;
	/** Serves on, and says with each answer that its connection ends, so that who keeps connections goes elsewhere with the next one. */
	drain(): void;
	/**
	 * Takes no further connection and lets what is in flight end; each connection is closed with its answer, also those
	 * that a client would keep. @param graceMs after which the rest is answered 503 where no answer has begun, and cut off a second later
	 * @param giveUp called then: whoever knows better why there is no answer says so
	 */
	close(graceMs: number, giveUp?: () => void): Promise<void>;
	/**
	 * The same where another one listens in its place: who has a connection that it keeps may use it once more, and is told then that it ends,
	 * so that nobody's request crosses its end on the way.
	 */
	retire(graceMs: number, giveUp?: () => void): Promise<void>;
}

/** What is done about clients that are slow. */
export interface ServerOptions {
	/** After so long without progress an answer is cut off, milliseconds. */
	readonly answerStallMs: number;
	/** Answers that aren't taken yet may hold so much together; beyond it those without progress for the longest are cut off. */
	readonly answerBytes: number;
	/** Whether a request's body may take longer to come than others. Default: none. */
	readonly mayTakeTime?: (request: IncomingMessage) => boolean;
	/** Whose TLS it speaks; default: plain HTTP. */
	readonly tls?: TlsIdentity;
	/** Default: as many connections as come. */
	readonly connections?: ConnectionBounds;
	/** Told what was cut off, once a second at most. */
	readonly onCut: (cut: Cut) => void;
	/** For tests; milliseconds. */
	readonly timing?: { readonly headMs: number; readonly requestMs: number; readonly lookMs: number };
}

/** Answers that were cut off, and what they held. */
export interface Cut {
	readonly answers: number;
	readonly bytes: number;
}

export function createGatewayServer(options: ServerOptions): GatewayServer {
	const { timing = { headMs: HEAD_MS, requestMs: REQUEST_MS, lookMs: LOOK_MS } } = options;
	let application: RequestListener = (_request, response) => refuse(response, "unavailable", "the gateway is starting");
	const { tls } = options;
	const server = httpServer(timing, tls);
	// Node leaves out what is beyond its bound: that of their bytes is enough.
	server.maxHeadersCount = 0;
	const connections = new Connections(server, options.connections);
	const listeners = new Listeners(server);
	const answers = new Answers(server, listeners, options);
	const arrivals = new Arrivals(timing.requestMs, options.mayTakeTime ?? (() => false));
	const sweeper = setInterval(() => {
		for (const { socket } of arrivals.late())
			server.emit("clientError", Object.assign(new Error("late"), { code: "ERR_HTTP_REQUEST_TIMEOUT" }), socket);
	}, timing.lookMs).unref();
	server.once("close", () => clearInterval(sweeper));
	const take: RequestListener = (request, response) => {
		const { socket } = request;
		// Node goes on reading behind a request whose answer closes the connection.
		if (connections.isEnding(socket)) return;
		const fault = faultOf(request);
		// Of what comes right behind a request for another protocol Node reads nothing.
		const isLast = fault !== undefined || request.headers.upgrade !== undefined;
		if (isLast) {
			connections.end(socket);
			response.setHeader("connection", "close");
		}
		arrivals.began(request);
		answers.began(response);
		timeAnswer(response);
		if (tls !== undefined) response.setHeader("strict-transport-security", STRICT_TRANSPORT);
		if (fault === undefined) application(request, response);
		else refuse(response, "invalid_request", fault);
	};
	server.on("connection", (socket) => {
		const full = connections.began(socket);
		if (full === undefined) return;
		connections.end(socket);
		// Before a handshake nothing can be said.
		if (tls === undefined) refuseConnection(socket, full);
		else socket.destroy();
	});
	server.on("request", take);
	// The body is asked for when it is going to be read, so that what is refused isn't sent.
	server.on("checkContinue", take);
	server.on("checkExpectation", ({ headers, socket }, response) => {
		if (connections.isEnding(socket)) return;
		connections.end(socket);
		refuse(response, "invalid_request", `expect: ${String(headers.expect).slice(0, 100)} can't be met; 100-continue can`);
	});
	server.on("connect", (_request, socket) => refuseTunnel(socket));
	server.on("clientError", (error, socket) =>
		refuseMalformed(error, socket, {
			ERR_HTTP_REQUEST_TIMEOUT: ["request_timeout", TIMEOUT],
			HPE_HEADER_OVERFLOW: ["headers_too_large", OVERFLOW],
		}),
	);
	const close: GatewayServer["close"] = async (graceMs, giveUp) => {
		// Who is in the middle of a handshake isn't known to the server.
		const last = setTimeout(() => connections.closeAll(), graceMs + 2 * LAST_WORD_MS);
		await answers.end(graceMs, giveUp);
		clearTimeout(last);
	};
	return {
		server,
		listen: (fds) => listeners.listen(fds),
		serve: (next) => {
			application = next;
		},
		drain: () => answers.drain(),
		close,
		retire: async (graceMs, giveUp) => {
			await answers.retire();
			await close(graceMs, giveUp);
		},
	};
}

function httpServer(timing: { readonly headMs: number; readonly lookMs: number }, tls: TlsIdentity | undefined): Server {
	const http = {
		headersTimeout: timing.headMs,
		// Of heads alone: bodies are looked after by arrivals.
		requestTimeout: 0,
		connectionsCheckingInterval: timing.lookMs,
		keepAliveTimeout: KEEP_ALIVE_MS,
		maxHeaderSize: HEADER_BYTES,
		// Refused below, as a problem.
		requireHostHeader: false,
		// Whatever NODE_OPTIONS say.
		insecureHTTPParser: false,
	};
	// What a server of node:http has, one of node:https has, too.
	if (tls === undefined) return createServer(http);
	return createTlsServer({ ...http, ...tls, handshakeTimeout: timing.headMs }) as unknown as Server;
}

/** What a client hasn't taken of its answers, and since when that hasn't become less. */
interface Untaken {
	readonly answers: number;
	/** What the gateway holds of them; an answer is held until the last byte of it is taken. */
	readonly bytes: number;
	/** What the kernel has taken on the connection so far. */
	readonly takenBytes: number;
	readonly sinceMs: number;
}

/** The answers that a server is giving, so that it can end with the last of them, and none of them for ever. */
class Answers {
	readonly #server: Server;
	readonly #listeners: Listeners;
	readonly #options: ServerOptions;
	readonly #open = new Set<ServerResponse>();
	#untaken = new Map<Socket, Untaken>();
	readonly #sweeper = setInterval(() => this.#sweep(), SWEEP_MS).unref();
	#ending = false;
	#retiring = false;

	constructor(server: Server, listeners: Listeners, options: ServerOptions) {
		this.#server = server;
		this.#listeners = listeners;
		this.#options = options;
	}

	began(response: ServerResponse): void {
		if (this.#ending) response.setHeader("connection", "close");
		this.#open.add(response);
		response.once("close", () => {
			this.#open.delete(response);
			// One whose head was on its way already has promised its client to keep the connection.
			if (this.#ending && !this.#retiring) this.#server.closeIdleConnections();
		});
	}

	/** Cuts off whose answer is stuck, then, while the rest holds too much, who is nearest to that. */
	#sweep(): void {
		const { answerStallMs, answerBytes, onCut } = this.#options;
		const nowMs = performance.now();
		this.#untaken = this.#look(nowMs);
		const slowest = [...this.#untaken].sort(([, a], [, b]) => a.sinceMs - b.sinceMs);
		let held = slowest.reduce((sum, [, { bytes }]) => sum + bytes, 0);
		let cut: Cut = { answers: 0, bytes: 0 };
		for (const [socket, { answers, bytes, sinceMs }] of slowest) {
			if (nowMs - sinceMs < answerStallMs && held <= answerBytes) break;
			cut = { answers: cut.answers + answers, bytes: cut.bytes + bytes };
			held -= bytes;
			socket.destroy(new StalledError());
		}
		if (cut.answers > 0) onCut(cut);
	}

	/** By connection: one may have asked for several answers at once, and they wait behind the first. */
	#look(nowMs: number): Map<Socket, Untaken> {
		const untaken = new Map<Socket, Untaken>();
		for (const response of this.#open) {
			if (response.writableLength === 0) continue;
			const { socket } = response.req;
			const { answers, bytes } = untaken.get(socket) ?? { answers: 0, bytes: 0 };
			const takenBytes = takenOf(socket);
			const before = this.#untaken.get(socket);
			const isStuck = before !== undefined && takenBytes - before.takenBytes < STEP_BYTES;
			untaken.set(socket, {
				answers: answers + 1,
				bytes: bytes + response.writableLength,
				...(isStuck ? { takenBytes: before.takenBytes, sinceMs: before.sinceMs } : { takenBytes, sinceMs: nowMs }),
			});
		}
		return untaken;
	}

	/** Ends each connection with its next answer. */
	drain(): void {
		this.#ending = true;
		this.#retiring = true;
		for (const response of this.#open) if (!response.headersSent) response.setHeader("connection", "close");
	}

	/** The same, and listens no more; resolves when there is no connection any more, or each has had its time. */
	async retire(): Promise<void> {
		this.drain();
		const time = new AbortController();
		const late = wait(UNUSED_MS, undefined, { signal: time.signal }).catch(() => undefined);
		await Promise.race([this.#listeners.stop(), late]);
		time.abort();
	}

	async end(graceMs: number, giveUp: () => void = () => undefined): Promise<void> {
		this.drain();
		this.#retiring = false;
		const closed = this.#listeners.close();
		const hurry = [
			setTimeout(giveUp, graceMs),
			setTimeout(() => this.#refuseRest(), graceMs + LAST_WORD_MS),
			setTimeout(() => this.#server.closeAllConnections(), graceMs + 2 * LAST_WORD_MS),
		];
		await closed;
		for (const timer of hurry) clearTimeout(timer);
		clearInterval(this.#sweeper);
	}

	#refuseRest(): void {
		for (const response of this.#open)
			if (!response.headersSent) refuse(response, "unavailable", "the gateway stops, and this took longer than it waits; ask again");
	}
}

/** Bytes. By what Node measures a socket's timeout: a stream's own length stays until a whole write is done; and what waits says nothing where more is written meanwhile. */
function takenOf({
	_handle: handle,
}: Socket & { readonly _handle?: { readonly bytesWritten: number; readonly writeQueueSize: number } | null }) {
	return handle === undefined || handle === null ? 0 : handle.bytesWritten - handle.writeQueueSize;
}
