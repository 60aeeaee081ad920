import { type IncomingMessage, request } from "node:http";
import { pipeline, Readable } from "node:stream";
import { type InvokeHead, type SpecialiseHead, scheduleHeaders, type TraceContext } from "@berth/contracts/agent";
import type { Reply } from "../node/payload.js";
import { collected, type Gathered, gathered, type Source } from "../node/pieces.js";
import { ReplyError } from "../node/reply-error.js";

/** As many as a worker takes from a sandbox. */
const MOST_HEADERS = 256;
/** Of a response's headers in all, before they are counted: what is more is a broken answer. */
const HEADER_BYTES = 256 * 1024;
/** Headers of one connection (RFC 9110, 7.6.1), and what this connection has of its own. */
const OF_THE_CONNECTION = new Set([
	"connection",
	"content-length",
	"expect",
	"keep-alive",
	"proxy-connection",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
]);
/** Of the platform's, whoever else sends them. */
const OURS = /^berth-/;

/** A request's body in pieces. */
export interface Pieces {
	next(): Promise<Uint8Array | undefined>;
}

/**
 * One invocation as one request over a connection of its own. Its answer is whole unless the program takes its time with it.
 * @throws Error when the program gives no answer, ReplyError when it is none
 */
export function exchange(socketPath: string, head: InvokeHead, body: Uint8Array | Pieces, loaded: SpecialiseHead): Promise<Reply> {
	return new Promise((resolve, reject) => {
		const { method, url, headers } = requestOf(head, body, loaded);
		const sent = request({ socketPath, method, path: url, headers, agent: false, maxHeaderSize: HEADER_BYTES });
		sent.once("response", (response) => replyOf(response, head.maxBodyBytes).then(resolve, reject));
		sent.once("upgrade", (_response, socket) => {
			socket.destroy();
			reject(new ReplyError("it answered with a change of protocol"));
		});
		sent.once("error", (error) => reject(new Error(`the program gave no answer: ${error.message}`)));
		if (body instanceof Uint8Array) sent.end(body);
		else pipeline(Readable.from(piecesOf(body)), sent, () => undefined);
	});
}

/** An event becomes a POST to `/`, an HTTP request stays what it is; what else there is to know stands in headers. */
function requestOf({ id, attempt, timeoutMs, trigger, trace }: InvokeHead, body: Uint8Array | Pieces, loaded: SpecialiseHead) {
	const { method, url, headers } =
		trigger.kind === "http"
			? trigger.request
			: { method: "POST", url: "/", headers: [["content-type", trigger.contentType ?? "application/json"] as const, ...tracing(trace)] };
	const kept = headers.filter(([name]) => !OF_THE_CONNECTION.has(name) && !OURS.test(name));
	const ours = [
		["berth-invocation-id", id],
		["berth-attempt", String(attempt)],
		["berth-deadline-ms", String(Date.now() + timeoutMs)],
		["berth-function", loaded.function],
		["berth-version", String(loaded.version)],
		...(trigger.kind === "event" ? scheduleHeaders(trigger.schedule) : []),
	] as const;
	const host = kept.some(([name]) => name === "host") ? [] : [["host", "function"] as const];
	const length = !(body instanceof Uint8Array)
		? [["transfer-encoding", "chunked"] as const]
		: body.length > 0 || !["GET", "HEAD"].includes(method)
			? [["content-length", String(body.length)] as const]
			: [];
	const all = [...host, ...kept, ...ours, ...length, ["connection", "close"] as const];
	return { method, url, headers: all.flat() };
}

/** As an HTTP trigger has it already. */
function tracing(trace: TraceContext | undefined): readonly (readonly [string, string])[] {
	return Object.entries(trace ?? {}) as [string, string][];
}

async function* piecesOf(body: Pieces): AsyncGenerator<Uint8Array> {
	for (let piece = await body.next(); piece !== undefined; piece = await body.next()) yield piece;
}

async function replyOf(response: IncomingMessage, maxBytes: number): Promise<Reply> {
	const status = response.statusCode ?? 0;
	if (status < 200 || status > 599) throw new ReplyError(`it answered with the status ${status}, which is none from 200 to 599`);
	const headers = headersOf(response);
	if (headers.length > MOST_HEADERS) throw new ReplyError(`it answered with ${headers.length} headers; ${MOST_HEADERS} are the most`);
	const contentType = response.headers["content-type"];
	return {
		...(await bodyOf(response, maxBytes)),
		response: { status, headers },
		...(contentType === undefined ? {} : { contentType }),
	};
}

/** One that says how long it is is whole: only what comes bit by bit is passed on so. */
async function bodyOf(response: IncomingMessage, maxBytes: number): Promise<Gathered> {
	const chunks = response.iterator({ destroyOnReturn: true }) as AsyncIterator<Buffer>;
	const source: Source = {
		async next() {
			try {
				const { done, value } = await chunks.next();
				return done === true ? undefined : value;
			} catch (error) {
				throw new Error(`the program broke its answer off: ${(error as Error).message}`);
			}
		},
		cancel: async () => void response.destroy(),
	};
	const isWhole = response.headers["content-length"] !== undefined;
	return isWhole ? { body: await collected({ body: Buffer.alloc(0), rest: source }, maxBytes) } : await gathered(source);
}

/** As they came, in lower case: several values of one name are several pairs. What its Connection lists is of the connection, too. */
function headersOf({ headers, rawHeaders }: IncomingMessage): [string, string][] {
	const listed = new Set((headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
	const pairs: [string, string][] = [];
	for (let at = 0; at < rawHeaders.length; at += 2) {
		const name = (rawHeaders[at] as string).toLowerCase();
		if (!OF_THE_CONNECTION.has(name) && !listed.has(name)) pairs.push([name, rawHeaders[at + 1] as string]);
	}
	return pairs;
}
