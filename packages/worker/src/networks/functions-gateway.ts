import type { Socket as Datagrams } from "node:dgram";
import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { pipeline } from "node:stream";
import {
	type ErrorCode,
	FUNCTIONS_ADDRESS,
	FUNCTIONS_GATEWAY,
	HEADERS,
	JOINED_HEADER,
	type JoinedHead,
	MOST_DEPTH,
	NAME_PATTERN,
	NAME_RULE,
	problemOf,
} from "@berth/contracts";
import type { Joined } from "@berth/sandbox";
import type { Ways } from "../gateway-ways.js";
import type { AttemptInvokes, Awaited } from "../invokes.js";
import { serveNames } from "./function-names.js";
import { passBody, passedOn, requestHeaders } from "./passed-headers.js";
import { portTaken } from "./port-taken.js";

/** Of all functions of the node together; what one may have open is bounded by its files. */
const MOST_CONNECTIONS = 4096;
const HEADER_BYTES = 64 * 1024;

export interface FunctionsGatewayOptions {
	/** This host's address, which only wires of functions on a network lead to. */
	readonly address: string;
	/** To a gateway, for what comes from here. */
	readonly ways: Ways;
	/** The rules of the wires see to it that no sandbox has another's address. */
	readonly find: (address: string) => Joined | undefined;
	/** The attempt of an invocation, while it isn't over. */
	readonly attemptOf: (invocation: string) => Pick<AttemptInvokes, "asking" | "wait"> | undefined;
}

/**
 * `http://<function>/` inside of a network of functions: each request becomes an invocation of that function, asked for
 * by the function whose sandbox it came from. There is no key in the sandbox: its address says who it is.
 */
export class FunctionsGateway {
	readonly #options: FunctionsGatewayOptions;
	readonly #server: Server;
	#names: Datagrams | undefined;

	private constructor(options: FunctionsGatewayOptions) {
		this.#options = options;
		this.#server = createServer({ maxHeaderSize: HEADER_BYTES }, (request, response) => this.#take(request, response));
		// As where secrets are put in (egress/plain-http.ts): none that frames a body may be lost.
		this.#server.maxHeadersCount = 0;
		this.#server.maxConnections = MOST_CONNECTIONS;
	}

	/** @throws Error when the address isn't this host's, or taken */
	static async open(options: FunctionsGatewayOptions): Promise<FunctionsGateway> {
		const gateway = new FunctionsGateway(options);
		await once(gateway.#server.listen(FUNCTIONS_GATEWAY.httpPort, options.address), "listening").catch(
			portTaken("tcp", options.address, FUNCTIONS_GATEWAY.httpPort),
		);
		gateway.#names = await serveNames(options.address, FUNCTIONS_GATEWAY.namesPort, functionNames);
		return gateway;
	}

	close(): void {
		this.#names?.close();
		this.#server.close();
		this.#server.closeAllConnections();
	}

	#take(request: IncomingMessage, response: ServerResponse): void {
		const from = this.#options.find(request.socket.remoteAddress ?? "");
		if (from === undefined) {
			request.socket.destroy();
			return;
		}
		const name = (request.headers.host ?? "").replace(/(?::\d+)?$/, "").replace(/\.$/, "");
		if (!NAME_PATTERN.test(name)) refuse(response, "invalid_name", `the host of the URL is a function's name: ${NAME_RULE}`);
		else if (request.url?.startsWith("/") !== true)
			refuse(response, "invalid_request", "the request's target is a path, which begins with /");
		else if (from.depth >= MOST_DEPTH) refuse(response, "too_deep", `${MOST_DEPTH} invocations have come of one another already`);
		else {
			const { project, network, function: caller, depth } = from;
			const attempt = this.#options.attemptOf(from.invocation);
			const head = { project, network, caller, function: name, depth: depth + 1, ...attempt?.asking };
			this.#ask(head, attempt?.wait(), request, response);
		}
	}

	/** @param awaited by the attempt that asks, if it isn't answered yet */
	#ask(head: JoinedHead, awaited: Awaited | undefined, request: IncomingMessage, response: ServerResponse): void {
		const { method = "GET", url = "/" } = request;
		const { ways } = this.#options;
		const [way] = ways.all();
		if (way === undefined) {
			awaited?.over();
			refuse(response, "unavailable", "no gateway is known");
			return;
		}
		const said = JSON.stringify(head);
		const headers = [...requestHeaders(request, isFunctions), JOINED_HEADER, said, ...ways.signature(method, url, said)];
		const asked = httpRequest({ ...way, method, path: url, headers, agent: false });
		asked.on("response", (answer) => {
			response.writeHead(answer.statusCode ?? 502, passedOn(answer.rawHeaders));
			pipeline(answer, response, () => undefined);
		});
		asked.on("error", () => {
			if (response.headersSent) response.destroy();
			else refuse(response, "unavailable", "the gateway can't be reached");
		});
		// Who went away isn't waited for; nor who was killed, whose connection ends unsaid.
		awaited?.signal.addEventListener("abort", () => asked.destroy(), { once: true });
		response.once("close", () => {
			awaited?.over();
			if (!response.writableFinished) asked.destroy();
		});
		passBody(request, asked, headers, () => refuse(response, "invalid_request", "none of the headers of the request frames its body"));
	}
}

/** Every name without a dot: whether there is such a function is decided when it is asked. */
export const functionNames = (name: string) => (name.includes(".") ? undefined : FUNCTIONS_ADDRESS);

/** Whether a function may say it on its network: what else is named like ours is taken for our word where it goes. */
const isFunctions = (name: string) => !name.startsWith("berth-") || name === HEADERS.timeoutMs;

function refuse(response: ServerResponse, code: ErrorCode, detail: string): void {
	const problem = problemOf(code, detail);
	response.writeHead(problem.status, { "content-type": "application/problem+json" }).end(JSON.stringify(problem));
}
