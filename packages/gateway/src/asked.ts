import { BerthError, FIXED_LIMITS, HEADERS, LIMITS, type TraceContext, type Trigger, traceIn, type Version } from "@berth/contracts";
import type { Request } from "express";
import { isJson, parseJson } from "./json.js";
import { contradiction, wordFrom } from "./query.js";
import type { Services } from "./services.js";
import { RequestBody } from "./streams/request-body.js";

const EMPTY = Buffer.alloc(0);
export const RESPOND_ASYNC = /(?:^|,)\s*respond-async\s*(?:[,;]|$)/i;

/** What a request says of the invocation that it asks for. */
export interface Asked {
	/** Its payload; empty when that comes in pieces. */
	readonly bytes: Buffer;
	readonly timeoutMs: number;
	readonly trace: TraceContext | undefined;
	/** A payload that comes in pieces; whoever asked for it closes it. */
	readonly rest?: RequestBody;
}

/** Reads it. @throws BerthError `invalid_request`, `body_too_large`, `unavailable` */
export async function readAsked(request: Request, version: Version, trigger: Trigger, { bodies, streams }: Services): Promise<Asked> {
	const timeoutMs = timeoutOf(request, version);
	if (trigger.kind === "http" && request.method !== "HEAD") {
		const body = await RequestBody.of(request, bodies, version, streams);
		const more = { timeoutMs, trace: traceIn(request.headers) };
		return body instanceof RequestBody ? { ...more, bytes: EMPTY, rest: body } : { ...more, bytes: body };
	}
	const bytes = await bodies.read(request, FIXED_LIMITS.bodyBytes);
	// What a handler would be given parsed: that it can't be is the caller's mistake, said before anything is accepted.
	if (trigger.kind === "event" && bytes.length > 0 && isJson(trigger.contentType)) parseJson(bytes, "the payload");
	return { bytes, timeoutMs, trace: traceIn(request.headers) };
}

/** What a handler gets that takes a payload. */
export function eventOf({ headers }: Request): Trigger {
	const contentType = headers["content-type"];
	return { kind: "event", ...(contentType === undefined ? {} : { contentType }) };
}

/** Whether nobody waits for the result. @throws BerthError invalid_request */
export function isAsync({ headers, query }: Request): boolean {
	const mode = wordFrom(query["mode"], "mode", ["async", "sync"]);
	const isPreferred = RESPOND_ASYNC.test(String(headers["prefer"] ?? ""));
	if (mode === "sync" && isPreferred) throw contradiction("prefer", "mode");
	return isPreferred || mode === "async";
}

/** `/orders?id=1` of `/fn/default/shop/orders?id=1`, as it came: nothing is decoded on the way. */
export function urlBelow(target: string): string {
	// A proxy's form of a target has the origin in front (RFC 9112, 3.2.2).
	const local = target.startsWith("/") ? target : target.replace(/^[a-z][a-z0-9+.-]*:\/\/[^/?]*/i, "");
	const query = local.indexOf("?");
	const path = query < 0 ? local : local.slice(0, query);
	let at = 0;
	// Past `/fn`, the project and the name.
	for (let slashes = 0; slashes < 3 && at >= 0; slashes++) at = path.indexOf("/", at + 1);
	return `${at < 0 ? "/" : path.slice(at)}${query < 0 ? "" : local.slice(query)}`;
}

/** The version's timeout, or the caller's shorter one. @throws BerthError invalid_request */
function timeoutOf(request: Request, { manifest }: Version): number {
	const asked = request.headers[HEADERS.timeoutMs];
	if (asked === undefined) return manifest.timeoutMs;
	const { min } = LIMITS.timeoutMs;
	const value = typeof asked === "string" && /^\d+$/.test(asked) ? Number(asked) : 0;
	if (value >= min) return Math.min(value, manifest.timeoutMs);
	const message = `a whole number of milliseconds, at least ${min}; more than the function's timeout of ${manifest.timeoutMs} counts as that`;
	throw new BerthError("invalid_request", `${HEADERS.timeoutMs}: ${message}`, { issues: [{ field: HEADERS.timeoutMs, message }] });
}
