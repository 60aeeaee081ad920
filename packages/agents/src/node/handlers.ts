import { scheduleHeaders } from "@berth/contracts/agent";
import type { Context } from "./context.js";
import { lambdaEvent, lambdaReply } from "./lambda.js";
import { bodyInit, payloadOf, type Reply, replyOf, responseReply } from "./payload.js";

/** A function's handler behind one shape: body in, reply out. It throws what the handler throws. */
export interface Handler {
	readonly shape: "fetch" | "payload" | "event";
	/** @param body in pieces for a fetch handler alone */
	handle(
		body: Uint8Array | ReadableStream<Uint8Array>,
		contentType: string | undefined,
		context: Context,
		signal: () => AbortSignal,
	): Promise<Reply>;
}

/** Of what a module exports, in a message. */
const NAMES_SHOWN = 5;
const NAME_CHARS = 50;

type Callable = (...args: unknown[]) => unknown;

/** Finds the handler in a loaded module. @returns undefined when it exports none of the three shapes */
export function handlerOf(exported: Readonly<Record<string, unknown>>): Handler | undefined {
	const standard = exported["default"];
	if (typeof (standard as { fetch?: unknown } | undefined)?.fetch === "function") return fetchHandler(standard as { fetch: Callable });
	if (typeof standard === "function") return payloadHandler(standard as Callable);
	if (typeof exported["handler"] === "function") return eventHandler(exported["handler"] as Callable);
	return undefined;
}

/** What a module has in the place of a handler, and what one is, in a sentence. */
export function noHandlerIn(exported: Readonly<Record<string, unknown>>): string {
	const shapes = "export default a function, or an object with a function `fetch`; or export a function `handler`";
	return `the module exports no handler: ${foundIn(exported)}; ${shapes}`;
}

function foundIn(exported: Readonly<Record<string, unknown>>): string {
	if ("default" in exported) return `its default export is ${kindOf(exported["default"])}`;
	if ("handler" in exported) return `its export \`handler\` is ${kindOf(exported["handler"])}`;
	const names = Object.keys(exported).map((name) => name.slice(0, NAME_CHARS));
	if (names.length === 0) return "it exports nothing";
	return `it exports ${names.slice(0, NAMES_SHOWN).join(", ")}${names.length > NAMES_SHOWN ? ", …" : ""}`;
}

function kindOf(value: unknown): string {
	if (value === undefined || value === null) return String(value);
	if (Array.isArray(value)) return "an array";
	if (value instanceof Promise) return "a promise: export what it comes to (`export default await …`)";
	if (typeof value !== "object") return `a ${typeof value}`;
	return "fetch" in value ? "an object whose `fetch` is no function" : "an object without `fetch`";
}

function fetchHandler(target: { fetch: Callable }): Handler {
	return {
		shape: "fetch",
		async handle(body, contentType, context, signal) {
			const request = requestOf(body, contentType, context, signal);
			return responseReply(await target.fetch(request, process.env, context));
		},
	};
}

/** An event becomes a POST to `/`. The signal is wired only when somebody may look at it. */
function requestOf(
	body: Uint8Array | ReadableStream<Uint8Array>,
	contentType: string | undefined,
	context: Context,
	signal: () => AbortSignal,
): Request {
	const http = context.request;
	if (http === undefined) {
		const headers = new Headers([["content-type", contentType ?? "application/json"]]);
		for (const [name, value] of scheduleHeaders(context.schedule)) headers.set(name, value);
		return withSignal(new Request("http://function/", { method: "POST", headers, ...bodyInit(body) }), signal);
	}
	const host = http.headers.find(([name]) => name === "host")?.[1] ?? "function";
	const headers = new Headers();
	for (const [name, value] of http.headers) headers.append(name, value);
	const hasBody = http.method !== "GET" && http.method !== "HEAD";
	const init: RequestInit = { method: http.method, headers, ...(hasBody ? bodyInit(body) : {}) };
	const origin = URL.canParse(`http://${host}/`) ? `http://${host}` : "http://function";
	// Put together, not resolved: a path that begins with `//` is a path.
	return withSignal(new Request(`${origin}${http.url}`, init), signal);
}

/** `new Request(…, {signal})` costs two abort controllers; a getter costs nothing until it is used. */
function withSignal(request: Request, signal: () => AbortSignal): Request {
	return Object.defineProperty(request, "signal", { get: signal });
}

function payloadHandler(target: Callable): Handler {
	return {
		shape: "payload",
		handle: async (body, contentType, context) =>
			replyOf(await target(payloadOf(whole(body), contentType), context), false, wantsEvents(context)),
	};
}

function eventHandler(target: Callable): Handler {
	return {
		shape: "event",
		async handle(body, contentType, context) {
			if (context.request === undefined) return replyOf(await target(payloadOf(whole(body), contentType), context), true);
			return lambdaReply(await target(lambdaEvent(whole(body), context.request, context), context), wantsEvents(context));
		},
	};
}

/** Whether who asked wants a stream of events (WHATWG HTML, 9.2). */
function wantsEvents({ request }: Context): boolean {
	return request?.headers.some(([name, value]) => name === "accept" && /\btext\/event-stream\b/i.test(value)) === true;
}

function whole(body: Uint8Array | ReadableStream<Uint8Array>): Uint8Array {
	if (body instanceof Uint8Array) return body;
	throw new TypeError("a body in pieces is for fetch handlers");
}
