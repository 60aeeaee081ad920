import { once } from "node:events";
import { type Agent, request as httpRequest, type IncomingMessage } from "node:http";
import {
	ERRORS,
	type ErrorCode,
	FIXED_LIMITS,
	HEADERS,
	INLINE_BODY_BYTES,
	INVOKING_HEADER,
	type InvokeFailure,
	type InvokeReply,
	type InvokingHead,
	MOST_DEPTH,
	type Outcome,
	type Problem,
	type TraceContext,
} from "@berth/contracts";
import type { Responded } from "@berth/sandbox";
import { type GatewayWay, isUnreached, type Ways } from "./gateway-ways.js";

/** The right to hold a large result. */
export interface Reading {
	readonly done: () => void;
}

export interface InvokeRequest {
	readonly ways: Ways;
	readonly agent: Agent;
	readonly head: InvokingHead;
	readonly contentType: string | undefined;
	readonly body: Uint8Array;
	/** Of the one that asks. */
	readonly trace: TraceContext | undefined;
	/** Ends the wait for what is waited for. */
	readonly signal: AbortSignal | undefined;
	/** Resolves when it is this one's turn to hold a large result. */
	readonly readsLarge: () => Promise<Reading>;
}

/** Of the connection, and what a reply's head says by itself. */
const LEFT_OUT: ReadonlySet<string> = new Set([
	"connection",
	"keep-alive",
	"transfer-encoding",
	"content-length",
	"date",
	...Object.values(HEADERS),
]);

/** Of a result that is none. */
const BROKEN = {
	response_too_large: `the result has more than ${FIXED_LIMITS.bodyBytes} bytes`,
	crashed: "the answer came in pieces and was broken off; the record of its invocation says why",
} as const satisfies Partial<Record<ErrorCode, string>>;

/** Has the gateway invoke a function for another one. What comes of it is a reply for that one's agent; it never rejects. */
export async function invokeOver(asked: InvokeRequest): Promise<Responded> {
	if (asked.head.depth > MOST_DEPTH) return failed("too_deep", `${MOST_DEPTH} invocations have come of one another already`);
	try {
		return await replyTo(await responseOf(asked), asked);
	} catch (error) {
		if (asked.signal?.aborted === true) return failed("cancelled", "nobody waits for it any longer");
		return failed("unavailable", `no gateway answered: ${(error as Error).message}`);
	}
}

/** Of the first gateway that can be reached. @throws Error when none can */
async function responseOf(asked: InvokeRequest): Promise<IncomingMessage> {
	let last: unknown = new Error("no gateway is known");
	for (const way of asked.ways.all()) {
		try {
			return await responseBy(way, asked);
		} catch (error) {
			if (!isUnreached(error)) throw error;
			last = error;
		}
	}
	throw last;
}

async function responseBy(
	way: GatewayWay,
	{ ways, agent, head, contentType, body, trace, signal }: InvokeRequest,
): Promise<IncomingMessage> {
	// JSON escapes nothing beyond ASCII, which a header can't have.
	const text = JSON.stringify(head).replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`);
	const sent = httpRequest({
		...way,
		agent,
		method: "POST",
		path: "/",
		headers: {
			[INVOKING_HEADER]: text,
			...Object.fromEntries([ways.signature("POST", "/", text)]),
			...(contentType === undefined ? {} : { "content-type": contentType }),
			...(head.timeoutMs === undefined ? {} : { [HEADERS.timeoutMs]: String(head.timeoutMs) }),
			...trace,
			"content-length": String(body.byteLength),
		},
		...(signal === undefined ? {} : { signal }),
	});
	sent.end(body);
	const [response] = (await once(sent, "response")) as [IncomingMessage];
	// Whoever reads it hears of it; nobody may, when it ends before its turn.
	for (const ends of [sent, response]) ends.on("error", () => undefined);
	return response;
}

async function replyTo(response: IncomingMessage, asked: InvokeRequest): Promise<Responded> {
	const length = Number(response.headers["content-length"] ?? Number.POSITIVE_INFINITY);
	const reading = length <= INLINE_BODY_BYTES ? undefined : await asked.readsLarge();
	try {
		const id = textIn(response.headers[HEADERS.invocationId]);
		const body = await bodyOf(response, asked.signal);
		// What came in pieces says at its end how it went.
		const outcome = textIn(response.headers[HEADERS.outcome] ?? response.trailers[HEADERS.outcome]) as Outcome | undefined;
		if (typeof body === "string") {
			reading?.done();
			return failed(body, BROKEN[body], id);
		}
		const said = saidBy(response, body, asked.head.async, outcome);
		const head: InvokeReply = { ...(id === undefined ? {} : { id }), ...said };
		return { head, ...(said.response === undefined ? {} : { body }), ...(reading === undefined ? {} : { done: reading.done }) };
	} catch (error) {
		reading?.done();
		throw error;
	}
}

function saidBy(response: IncomingMessage, body: Buffer, async: boolean, outcome: Outcome | undefined): InvokeReply {
	const status = response.statusCode ?? 0;
	if (async && status === 202) return {};
	if (outcome === "succeeded") return { response: { status, headers: headersOf(response) } };
	return { failed: failureOf(JSON.parse(body.toString()) as Problem, outcome) };
}

function failureOf({ code, status, detail, retryable }: Problem, outcome: Outcome | undefined): InvokeFailure {
	return { code, status, message: detail, retryable, ...(outcome === undefined ? {} : { outcome }) };
}

/** Or what is wrong with it. @throws Error when nobody waits for it any longer */
async function bodyOf(response: IncomingMessage, signal: AbortSignal | undefined): Promise<Buffer | keyof typeof BROKEN> {
	const pieces: Buffer[] = [];
	let bytes = 0;
	try {
		for await (const piece of response as AsyncIterable<Buffer>) {
			bytes += piece.length;
			if (bytes > FIXED_LIMITS.bodyBytes) return "response_too_large";
			pieces.push(piece);
		}
	} catch (error) {
		if (signal?.aborted === true) throw error;
		return "crashed";
	}
	return Buffer.concat(pieces);
}

function headersOf({ rawHeaders }: IncomingMessage): (readonly [string, string])[] {
	const pairs: (readonly [string, string])[] = [];
	for (let at = 0; at < rawHeaders.length; at += 2) {
		const name = (rawHeaders[at] as string).toLowerCase();
		if (!LEFT_OUT.has(name)) pairs.push([name, rawHeaders[at + 1] as string]);
	}
	return pairs;
}

function failed(code: ErrorCode, message: string, id?: string): Responded {
	const { status, retryable } = ERRORS[code];
	const reply: InvokeReply = { ...(id === undefined ? {} : { id }), failed: { code, status, message, retryable } };
	return { head: reply };
}

function textIn(value: string | string[] | undefined): string | undefined {
	return typeof value === "string" ? value : undefined;
}
