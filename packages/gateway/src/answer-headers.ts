import type { ServerResponse } from "node:http";
import { HEADERS } from "@berth/contracts";
import { HOP_BY_HOP, listed, type Pair } from "./function-headers.js";

/** Not for functions to say: also those whose value the gateway decides. */
const OURS: ReadonlySet<string> = new Set([...HOP_BY_HOP, "content-length", ...Object.values(HEADERS)]);
/**
 * What proxies in front take for orders: a file of theirs to send in the answer's place; and what browsers do for a whole origin, which functions
 * of all projects share: another server for it, only HTTPS, and all forgotten that it keeps.
 */
const ORDERS =
	/^(?:x-accel-(?!buffering$).*|x-sendfile|x-lighttpd-send-?file|x-reproxy-.*|alt-svc|strict-transport-security|clear-site-data)$/;
/** What is left of a rate, by the draft and as it was said before: where the project has one, that is what its callers are told. */
const RATE = /^(?:x-)?ratelimit(?:-.*)?$/i;
/** An answer has one of each (RFC 9110); of several the first counts. */
const SINGLE: ReadonlySet<string> = new Set(["content-type", "location", "date", "server", "etag", "last-modified", "retry-after"]);

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that mustn't get through
const FORBIDDEN = /[\0-\x08\n-\x1f\x7f]|[^\0-\xff]/;
const MOST = 100;
/** Answers of which the gateway says which other origins' pages may read them (cors.ts). */
const withCors = new WeakSet<ServerResponse>();

/**
 * What a function may say in its answer's headers: docs/http-api.md has it as a table. What it may not is left out, the rest stays as it is,
 * in order; several values of one name stay several.
 */
export function answerHeaders(said: readonly Pair[]): readonly Pair[] {
	const named = new Set(said.filter(([name]) => name.toLowerCase() === "connection").flatMap(([, value]) => listed(value)));
	const once = new Set<string>();
	return said.slice(0, MOST).filter(([name, value]) => {
		const known = name.toLowerCase();
		if (!NAME.test(name) || FORBIDDEN.test(value)) return false;
		if (OURS.has(known) || known.startsWith("berth-") || ORDERS.test(known) || named.has(known) || once.has(known)) return false;
		if (SINGLE.has(known)) once.add(known);
		return true;
	});
}

export function writeAnswerHeaders(response: ServerResponse, said: readonly Pair[]): void {
	const isCounted = response.hasHeader("ratelimit");
	for (const [name, value] of answerHeaders(said)) {
		if (withCors.has(response) && /^access-control-/i.test(name)) continue;
		if (isCounted && RATE.test(name)) continue;
		response.appendHeader(name, value);
	}
}

/** From now on what a function says in `Access-Control-…` of this answer is left out. */
export function decidesCors(response: ServerResponse): void {
	withCors.add(response);
}

/** Statuses whose answers have no content (RFC 9110, 15.3.5, 15.3.6 and 15.4.5). */
export function hasContent(status: number): boolean {
	return status !== 204 && status !== 205 && status !== 304;
}
