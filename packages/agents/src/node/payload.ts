import type { HttpResponseHead } from "@berth/contracts/agent";
import { gathered, isPieces, type Source, sourceOf, yielded } from "./pieces.js";
import { ReplyError } from "./reply-error.js";

/** What goes back to the worker. */
export interface Reply {
	readonly body: Uint8Array;
	readonly contentType?: string;
	readonly response?: HttpResponseHead;
	/** What comes after `body`, when that wasn't all. */
	readonly rest?: Source;
}

export const JSON_TYPE = "application/json";
const TEXT_TYPE = "text/plain; charset=utf-8";
const BYTES_TYPE = "application/octet-stream";
const EMPTY = new Uint8Array(0);
/** As many as a worker takes from a sandbox. */
export const MOST_HEADERS = 256;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** JSON is parsed, text is decoded, everything else stays bytes; no body is undefined. */
export function payloadOf(body: Uint8Array, contentType = JSON_TYPE): unknown {
	if (body.length === 0) return undefined;
	const type = contentType.split(";", 1)[0]?.trim().toLowerCase() ?? "";
	if (type === JSON_TYPE || type.endsWith("+json")) return JSON.parse(decoder.decode(body));
	return type.startsWith("text/") ? decoder.decode(body) : body;
}

/** A request's body as undici takes it, without copying its view's whole buffer. */
export function bodyInit(body: Uint8Array | ReadableStream<Uint8Array>): Pick<RequestInit, "body"> & { readonly duplex?: "half" } {
	return body instanceof Uint8Array
		? { body: body as Uint8Array<ArrayBuffer> }
		: { body: body as ReadableStream<Uint8Array<ArrayBuffer>>, duplex: "half" };
}

/**
 * What a handler returned, as bytes: a Response as it is, bytes as octet-stream, a string as text
 * (as JSON where `jsonStrings`), nothing as an empty body, a generator's values one after the other, everything else as JSON.
 * @param asEvents whether a generator's values are events of a stream
 */
export async function replyOf(value: unknown, jsonStrings = false, asEvents = false): Promise<Reply> {
	if (isResponse(value)) return responseReply(value);
	if (value === undefined) return { body: EMPTY };
	if (value instanceof Uint8Array) return { body: value, contentType: BYTES_TYPE };
	if (value instanceof ArrayBuffer) return { body: new Uint8Array(value), contentType: BYTES_TYPE };
	if (typeof value === "string" && !jsonStrings) return { body: encoder.encode(value), contentType: TEXT_TYPE };
	if (isPieces(value)) return await yielded(value, asEvents);
	const text = JSON.stringify(value);
	if (text === undefined) throw new ReplyError(`the handler returned a ${typeof value}, which has no JSON form`);
	return { body: encoder.encode(text), contentType: JSON_TYPE };
}

/**
 * Whether a value is a Response. Naming the class loads all the web classes (19 ms, once): that isn't
 * done for a value that can't be one.
 */
export function isResponse(value: unknown): value is Response {
	if (typeof value !== "object" || value === null) return false;
	const prototype: unknown = Object.getPrototypeOf(value);
	return prototype !== Object.prototype && prototype !== Array.prototype && prototype !== null && value instanceof Response;
}

/** A fetch handler has to answer with a Response. */
export async function responseReply(value: unknown): Promise<Reply> {
	if (!isResponse(value)) throw new ReplyError(`fetch() returned ${describe(value)} instead of a Response`);
	const { status } = value;
	if (!Number.isInteger(status) || status < 200 || status > 599) {
		throw new ReplyError(`it answered with the status ${JSON.stringify(status)}, which is none from 200 to 599`);
	}
	const headers = [...value.headers] as [string, string][];
	if (headers.length > MOST_HEADERS) throw new ReplyError(`it answered with ${headers.length} headers; ${MOST_HEADERS} are the most`);
	const contentType = value.headers.get("content-type");
	const body = value.body === null ? { body: EMPTY } : await gathered(sourceOf(value.body));
	return { ...body, response: { status: value.status, headers }, ...(contentType === null ? {} : { contentType }) };
}

/** What a value is, in a message. */
export function describe(value: unknown): string {
	if (value === null || value === undefined) return String(value);
	return typeof value === "object" ? `a ${value.constructor?.name ?? "object"}` : `a ${typeof value}`;
}
