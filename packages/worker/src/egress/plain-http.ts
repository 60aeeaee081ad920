import { Agent, createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { pipeline } from "node:stream";
import { EGRESS_LIMITS, KIB } from "@berth/contracts";
import type { Injection } from "@berth/sandbox";
import { passBody, passedOn, requestHeaders } from "../networks/passed-headers.js";

const HEADER_BYTES = 64 * KIB;
/** Requests on one connection that aren't answered yet: Node takes as many as are sent. */
const MOST_OPEN = 64;

/** Where what a client says is to go, and nowhere else. */
export interface Route {
	readonly host: string;
	readonly port: number;
	/** Whether it is spoken in TLS. */
	readonly isSecure?: boolean;
	/** Headers that each request gets, in the place of its own ones. */
	readonly injections?: readonly Injection[];
	/** A connection there. */
	connect(): Socket;
	refuse(why: string): void;
	/** Ends it, too. */
	fail(error: Error): void;
}

interface Found {
	readonly route: Route;
	readonly agent: Agent;
	/** Requests that aren't answered yet. */
	open: number;
}

/** HTTP, in the clear or out of TLS that was ended here: each request has to name the host that its connection leads to. */
export class PlainHttp {
	readonly #server: Server;
	readonly #routes = new WeakMap<Socket, Found>();

	constructor() {
		this.#server = createServer({ maxHeaderSize: HEADER_BYTES }, (request, response) => this.#take(request, response));
		// Node's parser goes by all of them, also where it gives only the first thousand: what frames a body mustn't be lost.
		this.#server.maxHeadersCount = 0;
		this.#server.timeout = EGRESS_LIMITS.idleMs;
	}

	/** @param client has said something already, which it is read from */
	serve(client: Socket, route: Route): void {
		const agent = new Agent({ keepAlive: true, maxSockets: 1 });
		agent.createConnection = () => route.connect();
		this.#routes.set(client, { route, agent, open: 0 });
		client.once("close", () => agent.destroy());
		this.#server.emit("connection", client);
		// Without a listener from now on Node would read it past those that count what comes.
		client.on("data", () => undefined);
		client.resume();
	}

	close(): void {
		this.#server.closeAllConnections();
	}

	#take(request: IncomingMessage, response: ServerResponse): void {
		const found = this.#routes.get(request.socket);
		// One that was ended may have said more already.
		if (found === undefined || request.socket.destroyed) {
			request.socket.destroy();
			return;
		}
		const { route } = found;
		if (!isFor(route, request)) {
			route.refuse("a request on this connection is for another host");
			return;
		}
		// Whoever answers it says again what it was asked, headers and all.
		if (request.method === "TRACE" && route.injections !== undefined) {
			route.refuse("TRACE isn't sent where a secret is");
			return;
		}
		if (found.open >= MOST_OPEN) {
			route.refuse(`${MOST_OPEN} requests on this connection aren't answered yet`);
			return;
		}
		found.open++;
		response.once("close", () => found.open--);
		// Both what is asked and what is answered is a tenant's: what Node takes from one side and doesn't give to the other ends this connection alone.
		try {
			pass(request, response, found);
		} catch (error) {
			route.fail(error as Error);
		}
	}
}

/** Whether it names the host that its connection leads to, once: of two lines a server may take the other one. */
function isFor({ host, port, isSecure }: Route, { rawHeaders, headers, url = "/" }: IncomingMessage): boolean {
	const lines = rawHeaders.filter((name, at) => at % 2 === 0 && name.toLowerCase() === "host");
	const meant = port === (isSecure === true ? 443 : 80) ? [host, `${host}:${port}`] : [`${host}:${port}`];
	return lines.length === 1 && meant.includes(headers.host?.toLowerCase() ?? "") && url.startsWith("/");
}

function pass(request: IncomingMessage, response: ServerResponse, { route, agent }: Found): void {
	const { method = "GET", url = "/" } = request;
	const { injections = [] } = route;
	const host = route.port === (route.isSecure === true ? 443 : 80) ? route.host : `${route.host}:${route.port}`;
	const isTheirs = (name: string) => name !== "host" && !injections.some(({ header }) => header === name);
	const added = injections.flatMap(({ header, value }) => [header, value]);
	const headers = ["Host", host, ...requestHeaders(request, isTheirs), ...added];
	const asked = httpRequest({ agent, method, path: url, headers, maxHeaderSize: HEADER_BYTES });
	asked.maxHeadersCount = 0;
	asked.on("response", (answer) => {
		try {
			passBack(answer, response);
		} catch (error) {
			asked.destroy();
			route.fail(error as Error);
		}
	});
	// Why is said where it is connected to; who waits is told by the end.
	asked.on("error", () => request.socket.destroy());
	response.once("close", () => {
		if (!response.writableFinished) asked.destroy();
	});
	passBody(request, asked, headers, () => route.refuse("none of the headers of a request frames its body"));
}

/** @throws Error where it is nothing that could be passed on */
function passBack(answer: IncomingMessage, response: ServerResponse): void {
	const { statusCode = 0, rawHeaders } = answer;
	if (statusCode < 200 || statusCode > 599) throw new Error(`its server answered with the status ${statusCode}`);
	// The status says it: a server's own words for it may have what Node doesn't write.
	response.writeHead(statusCode, passedOn(rawHeaders));
	pipeline(answer, response, () => undefined);
}
