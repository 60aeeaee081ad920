import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { FIXED_LIMITS, IDEMPOTENCY_KEY_RULE, type InvokeFailure, type InvokeReply, idempotencyKeyIn } from "@berth/contracts/agent";
import { checkedOptions } from "../node/invoke-options.js";
import { type Invokes, questionOf } from "../node/invokes.js";

const ROUTE = /^\/v1\/functions\/([^/?#]+)\/invocations$/;
const RESPOND_ASYNC = /(?:^|,)\s*respond-async\s*(?:[,;]|$)/i;

/** Why a request comes to nothing before anybody is asked. */
class RefusedError extends Error {
	override readonly name = "RefusedError";
	readonly failure: InvokeFailure;

	constructor(status: number, code: string, message: string) {
		super(message);
		this.failure = { status, code, message, retryable: false };
	}
}

/** Where a program invokes other functions: HTTP on a unix socket, by the route and with the headers of the gateway's own API. */
export class InvokeServer {
	readonly #server = createServer((request, response) => void this.#take(request, response));
	readonly #open = new Set<ServerResponse>();
	#invokes: Invokes | undefined;

	async listen(path: string): Promise<void> {
		await once(this.#server.listen(path), "listening");
	}

	/** What is asked from now on is asked in this invocation's name. */
	begin(invokes: Invokes): void {
		this.#invokes = invokes;
	}

	/** It is about to be answered: nothing is asked in its name any more, and who still waits isn't answered. */
	end(): void {
		this.#invokes?.close();
		this.#invokes = undefined;
		for (const response of this.#open) response.destroy();
	}

	async #take(request: IncomingMessage, response: ServerResponse): Promise<void> {
		const gone = new AbortController();
		this.#open.add(response);
		response.once("close", () => {
			this.#open.delete(response);
			gone.abort();
		});
		try {
			await this.#answer(request, response, gone.signal);
		} catch (error) {
			if (gone.signal.aborted) return;
			refuse(response, error instanceof RefusedError ? error.failure : { ...MALFORMED, message: (error as Error).message });
		}
	}

	async #answer(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
		const name = request.method === "POST" ? ROUTE.exec(request.url ?? "")?.[1] : undefined;
		if (name === undefined) throw new RefusedError(404, "not_found", "POST /v1/functions/{name}/invocations is all that there is");
		const invokes = this.#invokes;
		if (invokes === undefined) throw new RefusedError(503, "unavailable", "no invocation runs here now, in whose name it could be asked");
		const timeout = request.headers["berth-timeout-ms"];
		const isAsync = RESPOND_ASYNC.test(String(request.headers["prefer"]));
		const contentType = request.headers["content-type"];
		const key = request.headers["idempotency-key"];
		const idempotencyKey = key === undefined ? undefined : idempotencyKeyIn(String(key));
		if (key !== undefined && idempotencyKey === undefined)
			throw new RefusedError(400, "invalid_request", `idempotency-key: ${IDEMPOTENCY_KEY_RULE}, as they are or in quotes`);
		const options = checkedOptions({
			...(idempotencyKey === undefined ? {} : { idempotencyKey }),
			async: isAsync,
			...(contentType === undefined ? {} : { contentType }),
			...(timeout === undefined ? {} : { timeoutMs: Math.min(Number(timeout), Number.MAX_SAFE_INTEGER) }),
		});
		const asked = questionOf(decodeURIComponent(name), options.contentType, options);
		const { head, body } = await invokes.ask(asked, await bodyOf(request), signal);
		reply(response, head as InvokeReply, body, isAsync);
	}
}

const MALFORMED = { status: 400, code: "invalid_request", retryable: false };

function reply(response: ServerResponse, { id, response: given, failed }: InvokeReply, body: Uint8Array, isAsync: boolean): void {
	if (id !== undefined) response.setHeader("berth-invocation-id", id);
	if (failed !== undefined) {
		refuse(response, failed, id);
		return;
	}
	if (isAsync) {
		response.writeHead(202, { "content-type": "application/json" }).end(JSON.stringify({ id, state: "queued" }));
		return;
	}
	for (const [name, value] of given?.headers ?? []) response.appendHeader(name, value);
	response.setHeader("berth-outcome", "succeeded");
	response.writeHead(given?.status ?? 200).end(body);
}

/** A problem (RFC 9457), as the gateway's own. */
function refuse(response: ServerResponse, { status, code, message, retryable, outcome }: InvokeFailure, id?: string): void {
	if (outcome !== undefined) response.setHeader("berth-outcome", outcome);
	const problem = { type: `urn:berth:error:${code}`, status, code, detail: message, retryable, outcome, invocation: id };
	response.writeHead(status, { "content-type": "application/problem+json" }).end(JSON.stringify(problem));
}

async function bodyOf(request: IncomingMessage): Promise<Uint8Array> {
	const pieces: Buffer[] = [];
	let bytes = 0;
	for await (const piece of request as AsyncIterable<Buffer>) {
		bytes += piece.length;
		if (bytes > FIXED_LIMITS.bodyBytes)
			throw new RefusedError(413, "body_too_large", `a payload has at most ${FIXED_LIMITS.bodyBytes} bytes`);
		pieces.push(piece);
	}
	return Buffer.concat(pieces);
}
