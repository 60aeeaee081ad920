import { isUtf8 } from "node:buffer";
import {
	type BodyReference,
	type HeaderPairs,
	HOOK_HEADERS,
	HOOK_LIMITS,
	type HttpRequestHead,
	newId,
	schemeOf,
	type TraceContext,
	traceIn,
} from "@berth/contracts";
import type { OpenHook, PayloadStore, StoredEvent } from "@berth/registry";
import type { Request } from "express";
import { callerAddress } from "../caller-address.js";
import { believedPairs, rawPairs, requestHeaders } from "../function-headers.js";

/** What stands in a log in the place of what isn't for it. */
export const REDACTED = "[redacted]";
/** Headers that hold what lets in, wherever they are meant for. */
const SECRET = /^(?:authorization|proxy-authorization|cookie|set-cookie)$|token|secret|passw|api-?key/i;

/** A delivery as it came, and the event that its log has of it. */
export interface Receipt {
	readonly event: StoredEvent;
	/** With lower-case names: what is verified. */
	readonly headers: HeaderPairs;
	/** As its function sees it. */
	readonly head: HttpRequestHead;
	/** Its sender's, if it has one. */
	readonly trace: TraceContext | undefined;
}

export function receiptOf({ id, hook }: OpenHook, request: Request): Receipt {
	const secret = new Set(schemeOf(hook.scheme).secretHeaders(hook.settings));
	const passed = requestHeaders(request, true).filter(([name]) => !secret.has(name));
	const event = newId("evt");
	const query = request.originalUrl.includes("?") ? request.originalUrl.slice(request.originalUrl.indexOf("?")) : "";
	const shown = believedPairs(request).map(
		([name, value]) => [name, secret.has(name) || SECRET.test(name) || value.includes(id) ? REDACTED : value] as const,
	);
	const kept = cut(shown);
	return {
		event: {
			id: event,
			function: hook.function,
			hook: hook.name,
			at: new Date().toISOString(),
			result: "running",
			from: callerAddress(request),
			method: request.method,
			query: query.slice(0, HOOK_LIMITS.queryBytes + 1),
			headers: kept,
			...(kept.length < shown.length ? { headersCut: true } : {}),
			bodyBytes: 0,
		},
		headers: rawPairs(request),
		head: headOf(hook.name, event, request.method, query, passed),
		trace: traceIn(request.headers),
	};
}

/** The request that a function is given of a delivery. @param headers that a sender may say to it */
export function headOf(hook: string, event: string, method: string, query: string, headers: HeaderPairs): HttpRequestHead {
	return { method, url: `/${query}`, headers: [...headers, [HOOK_HEADERS.hook, hook], [HOOK_HEADERS.event, event]] };
}

/** A body for an event that was run: in place when it is small, else in the store. */
export async function keptBody(body: Buffer, store: PayloadStore): Promise<BodyReference> {
	if (body.length <= HOOK_LIMITS.inlineBodyBytes) return inPlace(body);
	return { payload: await store.put(body), sizeBytes: body.length };
}

/** As much of a body as is kept of a delivery that wasn't. */
export function cutBody(body: Buffer): BodyReference {
	if (body.length <= HOOK_LIMITS.inlineBodyBytes) return inPlace(body);
	const part = body.subarray(0, HOOK_LIMITS.inlineBodyBytes);
	// A character may be cut: of four bytes at most.
	const lengths = [0, 1, 2, 3].map((less) => part.subarray(0, part.length - less));
	return inPlace(lengths.find((one) => isUtf8(one)) ?? part);
}

function inPlace(bytes: Buffer): BodyReference {
	return isUtf8(bytes) ? { text: bytes.toString("utf8") } : { base64: bytes.toString("base64") };
}

function cut(headers: HeaderPairs): HeaderPairs {
	let left: number = HOOK_LIMITS.headerBytes;
	return headers.filter(([name, value]) => {
		left -= name.length + value.length;
		return left >= 0;
	});
}
