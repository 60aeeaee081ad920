import { Agent, createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { pipeline } from "node:stream";
import { EGRESS_LIMITS, KIB } from "@berth/contracts";
import { passedOn, requestHeaders } from "../networks/passed-headers.js";

const HEADER_BYTES = 64 * KIB;

/** Where what a client says is to go, and nowhere else. */
export interface Route {
	readonly host: string;
	readonly port: number;
	/** A connection there. */
	connect(): Socket;
	/** So many bytes went over it. */
	spent(bytes: number): void;
	refuse(why: string): void;
}

/** HTTP without TLS: each request has to name the host that its connection leads to. */
export class PlainHttp {
	readonly #server: Server;
	readonly #routes = new WeakMap<Socket, { readonly route: Route; readonly agent: Agent }>();

	constructor() {
		this.#server = createServer({ maxHeaderSize: HEADER_BYTES }, (request, response) => this.#take(request, response));
		this.#server.timeout = EGRESS_LIMITS.idleMs;
	}

	/** @param client has said something already, which it is read from */
	serve(client: Socket, route: Route): void {
		const agent = new Agent({ keepAlive: true, maxSockets: 1 });
		agent.createConnection = () => route.connect();
		this.#routes.set(client, { route, agent });
		client.once("close", () => agent.destroy());
		this.#server.emit("connection", client);
		client.resume();
	}

	close(): void {
		this.#server.closeAllConnections();
	}

	#take(request: IncomingMessage, response: ServerResponse): void {
		const found = this.#routes.get(request.socket);
		if (found === undefined) {
			request.socket.destroy();
			return;
		}
		const { route, agent } = found;
		const { method = "GET", url = "/" } = request;
		const said = request.headers.host?.toLowerCase();
		const meant = route.port === 80 ? [route.host, `${route.host}:80`] : [`${route.host}:${route.port}`];
		if (said === undefined || !meant.includes(said) || !url.startsWith("/")) {
			route.refuse("a request on this connection is for another host");
			return;
		}
		const asked = httpRequest({ agent, method, path: url, headers: requestHeaders(request), maxHeaderSize: HEADER_BYTES });
		asked.on("response", (answer) => {
			answer.on("data", (chunk: Buffer) => route.spent(chunk.length));
			response.writeHead(answer.statusCode ?? 502, answer.statusMessage, passedOn(answer.rawHeaders));
			pipeline(answer, response, () => undefined);
		});
		// Why is said where it is connected to; who waits is told by the end.
		asked.on("error", () => request.socket.destroy());
		response.once("close", () => {
			if (!response.writableFinished) asked.destroy();
		});
		request.on("data", (chunk: Buffer) => route.spent(chunk.length));
		pipeline(request, asked, () => undefined);
	}
}
