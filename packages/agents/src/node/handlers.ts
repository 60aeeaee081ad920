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

type Callable = (...args: unknown[]) => unknown;

/** Finds the handler in a loaded module. @returns undefined when it exports none of the three shapes */
export function handlerOf(exported: Readonly<Record<string, unknown>>): Handler | undefined {
	const standard = exported["default"];
	if (typeof (standard as { fetch?: unknown } | undefined)?.fetch === "function") return fetchHandler(standard as { fetch: Callable });
	if (typeof standard === "function") return payloadHandler(standard as Callable);
	if (typeof exported["handler"] === "function") return eventHandler(exported["handler"] as Callable);
	return undefined;
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
