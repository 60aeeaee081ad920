import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import {
	AGENT_BOUNDS,
	type AnswerHead,
	type FailedHead,
	FROM_AGENT,
	type Frame,
	type SpecialisedHead,
	TO_AGENT,
} from "@berth/contracts/agent";
import type { Link } from "./link.js";
import { payloadOf } from "./payload.js";

const PORT = 8080;
const MOST_PORT = 65_535;
/** Nobody waits for it but the client: the most that a function may have. */
const TIMEOUT_MS = 15 * 60_000;
const FAILED_STATUS: Readonly<Record<string, number>> = { handler: 500, too_large: 502 };

/** There is nobody to invoke. */
const ALONE = {
	status: 503,
	code: "unavailable",
	message: "this image runs by itself, without Berth: it can't invoke another function",
	retryable: false,
};

/** What a sandbox's agent does with what the worker says. */
interface Taker {
	take(frame: Frame): Promise<void>;
}

/** An answer, or how it failed, and whether `settled` follows. */
interface Outcome {
	readonly type: number;
	readonly head: unknown;
	readonly body: Uint8Array;
}

/**
 * An image's function by itself, with nothing of Berth around it: HTTP on a port, one request after the other, as a sandbox takes
 * them. For trying an image by hand: there are no limits and no records.
 * @param args the entry's path; its variables are the container's own. @param agentOf makes the agent, which says what it has to say to the link
 */
export async function serve([entry = ""]: readonly string[], agentOf: (link: Pick<Link, "send">) => Taker): Promise<void> {
	const port = portOf(process.env["PORT"]);
	const env = { ...process.env };
	const replies = new Replies();
	const agent = agentOf(replies);
	replies.onQuestion = ({ question }) =>
		void agent.take({ type: TO_AGENT.reply, head: { question, failed: ALONE }, body: Buffer.alloc(0) });
	const names = { project: "default", function: "function", version: 1 };
	void agent.take({ type: TO_AGENT.specialise, head: { entry, ...names, env, scratch: "keep" }, body: Buffer.alloc(0) });
	const loaded = await replies.next();
	if (loaded.type !== FROM_AGENT.specialised) {
		complain(loaded.head as FailedHead);
		process.exit(1);
	}
	const { handler } = loaded.head as SpecialisedHead;
	let turn: Promise<unknown> = Promise.resolve();
	let served = 0;
	const server = createServer((request, response) => {
		const id = `inv_${++served}`;
		turn = turn.then(() => answer({ agent, replies, handler }, id, request, response)).catch(() => response.destroy());
	});
	for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => process.exit(0));
	server.listen(port, () => process.stdout.write(`listening on ${JSON.stringify(server.address())}\n`));
}

/** Where it listens. Ends the process when that is no port. */
function portOf(text: string | undefined): number {
	if (text === undefined) return PORT;
	if (/^\d{1,5}$/.test(text) && Number(text) <= MOST_PORT) return Number(text);
	process.stderr.write(`PORT is ${JSON.stringify(text)}; a number from 0 to ${MOST_PORT} is wanted\n`);
	process.exit(1);
}

/** Takes the worker's place: what the agent says is waited for. */
class Replies {
	#said: Outcome[] = [];
	#waiter: ((outcome: Outcome) => void) | undefined;
	/** Told what the agent asks. */
	onQuestion: (head: { readonly question: number }) => void = () => undefined;

	send(type: number, head: object, body: Uint8Array = Buffer.alloc(0)): void {
		if (type === FROM_AGENT.question) {
			this.onQuestion(head as { readonly question: number });
			return;
		}
		const waiter = this.#waiter;
		this.#waiter = undefined;
		if (waiter === undefined) this.#said.push({ type, head, body });
		else waiter({ type, head, body });
	}

	next(): Promise<Outcome> {
		const said = this.#said.shift();
		if (said !== undefined) return Promise.resolve(said);
		return new Promise((resolve) => {
			this.#waiter = resolve;
		});
	}
}

/** The function that is served. */
interface Served {
	readonly agent: Taker;
	readonly replies: Replies;
	readonly handler: SpecialisedHead["handler"];
}

async function answer({ agent, replies, handler }: Served, id: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
	const body = await bodyOf(request);
	if (body === undefined) {
		response.writeHead(413).end(`a body has at most ${AGENT_BOUNDS.maxBodyBytes} bytes\n`);
		return;
	}
	const wrong = handler === "payload" ? notJson(body, request.headers["content-type"]) : undefined;
	if (wrong !== undefined) {
		response.writeHead(400, { "content-type": "text/plain" }).end(`the body isn't valid JSON: ${wrong}\n`);
		return;
	}
	const { method = "GET", url = "/" } = request;
	const head = {
		id,
		attempt: 1,
		timeoutMs: TIMEOUT_MS,
		trigger: { kind: "http", request: { method, url, headers: pairs(request.rawHeaders) } },
		maxBodyBytes: AGENT_BOUNDS.maxBodyBytes,
		maxHeaderBytes: 64 * 1024,
		stream: { maxBytes: Number.MAX_SAFE_INTEGER },
	};
	void agent.take({ type: TO_AGENT.invoke, head, body });
	const first = await replies.next();
	const outcome = first.type === FROM_AGENT.streamed ? await stream({ agent, replies }, id, first, response) : first;
	if (outcome === first) respond(response, outcome);
	// One at a time: what was given to waitUntil is the last one's.
	if ((outcome.head as { waiting?: boolean }).waiting === true) await replies.next();
}

/** An answer in pieces, as it comes; what fails in the middle has no end, and who goes away ends it. @returns its end */
async function stream(
	{ agent, replies }: Pick<Served, "agent" | "replies">,
	id: string,
	{ head }: Outcome,
	response: ServerResponse,
): Promise<Outcome> {
	let isOver = false;
	const gone = once(response, "close").then(() => {
		if (!isOver) void agent.take({ type: TO_AGENT.cancel, head: { id }, body: Buffer.alloc(0) });
	});
	writeHead(response, head as AnswerHead);
	response.flushHeaders();
	for (let said = await replies.next(); ; said = await replies.next()) {
		if (said.type === FROM_AGENT.chunk) {
			if (!response.closed && !response.write(said.body)) await Promise.race([once(response, "drain"), gone]);
			void agent.take({ type: TO_AGENT.credit, head: { id, chunks: 1 }, body: Buffer.alloc(0) });
			continue;
		}
		isOver = true;
		if (said.type === FROM_AGENT.answer) response.end();
		else {
			complain(said.head as FailedHead);
			response.socket?.destroySoon();
		}
		return said;
	}
}

/** Why a handler that is given a payload can't be given this one: the caller's mistake, not the function's. */
function notJson(body: Buffer, contentType: string | undefined): string | undefined {
	try {
		payloadOf(body, contentType);
		return undefined;
	} catch (error) {
		if (error instanceof SyntaxError) return error.message;
		throw error;
	}
}

function respond(response: ServerResponse, { type, head, body }: Outcome): void {
	if (type !== FROM_AGENT.answer) {
		const { phase, error } = complain(head as FailedHead);
		response.writeHead(FAILED_STATUS[phase] ?? 500, { "content-type": "text/plain" }).end(`${error.name}: ${error.message}\n`);
		return;
	}
	writeHead(response, head as AnswerHead);
	response.end(body);
}

function writeHead(response: ServerResponse, { response: given, contentType }: AnswerHead): void {
	for (const [name, value] of given?.headers ?? []) response.appendHeader(name, value);
	if (given === undefined && contentType !== undefined) response.setHeader("content-type", contentType);
	response.statusCode = given?.status ?? 200;
}

function complain(failed: FailedHead): FailedHead {
	const { error } = failed;
	process.stderr.write(`${error.stack ?? `${error.name}: ${error.message}`}\n`);
	return failed;
}

async function bodyOf(request: IncomingMessage): Promise<Buffer | undefined> {
	const pieces: Buffer[] = [];
	let bytes = 0;
	for await (const piece of request as AsyncIterable<Buffer>) {
		bytes += piece.length;
		if (bytes > AGENT_BOUNDS.maxBodyBytes) return undefined;
		pieces.push(piece);
	}
	return Buffer.concat(pieces);
}

function pairs(raw: readonly string[]): readonly (readonly [string, string])[] {
	return Array.from({ length: raw.length / 2 }, (_, index) => [(raw[2 * index] ?? "").toLowerCase(), raw[2 * index + 1] ?? ""] as const);
}
