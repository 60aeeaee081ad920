import type { IncomingMessage, ServerResponse } from "node:http";
import { CALLER_HEADER, HEADERS, HOOK_HEADERS, INVOKING_HEADER, JOINED_HEADER, SCHEDULE_HEADERS, TRACE_HEADERS } from "@berth/contracts";
import type { Request } from "express";
import { callerAddress } from "./caller-address.js";

/** Headers of one connection (RFC 9110, 7.6.1). */
const HOP_BY_HOP = [
	"connection",
	"keep-alive",
	"proxy-authenticate",
	"proxy-authorization",
	"proxy-connection",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
];
/** Not for functions to see: also what the gateway has answered for them, and a trace, which the worker goes on with. */
const KEPT_FROM_FUNCTIONS: ReadonlySet<string> = new Set([...HOP_BY_HOP, "expect", ...Object.values(TRACE_HEADERS)]);
/** What the gateway says to functions, and nobody else may. */
const NOT_FOR_CALLERS: ReadonlySet<string> = new Set([
	CALLER_HEADER,
	JOINED_HEADER,
	INVOKING_HEADER,
	...Object.values(HOOK_HEADERS),
	...Object.values(SCHEDULE_HEADERS),
]);
/** Not for functions to say: also those whose value the gateway decides. */
const KEPT_FROM_CALLERS: ReadonlySet<string> = new Set([...HOP_BY_HOP, "content-length", ...Object.values(HEADERS)]);

/** A key of ours is for the gateway, whoever sends it along, and however: also without `Bearer`. */
const OWN_KEY = /\bberth_[\w-]{16}/;
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that mustn't get through
const FORBIDDEN = /[\0-\x08\n-\x1f\x7f]|[^\0-\xff]/;
const MOST = 100;

type Pair = readonly [name: string, value: string];

/**
 * A request's headers as its function sees them: names in lower case, several values of one name as
 * several pairs, none of one connection. `x-forwarded-for` ends with the address that the request came
 * from, and `x-forwarded-proto` is what a proxy in front said, else `http`: what stands before that
 * address anyone may have written.
 * @param withKey whether `authorization` is the function's to see, and not a key of ours
 */
export function requestHeaders(request: Request, withKey: boolean): readonly Pair[] {
	return passedHeaders(rawPairs(request), callerAddress(request), withKey);
}

/** The same of a request that is over. @param sent its headers as they came, with lower-case names. @param from the address it came from */
export function passedHeaders(sent: readonly Pair[], from: string, withKey: boolean): readonly Pair[] {
	const named = sent.filter(([name]) => name === "connection").flatMap(([, value]) => listed(value));
	const passed = sent.filter(([name, value]) => {
		if (KEPT_FROM_FUNCTIONS.has(name) || NOT_FOR_CALLERS.has(name) || named.includes(name) || name === "x-forwarded-for") return false;
		return name !== "authorization" || (withKey && !OWN_KEY.test(value));
	});
	const chain = sent.filter(([name]) => name === "x-forwarded-for").map(([, value]) => value);
	const hasProto = sent.some(([name]) => name === "x-forwarded-proto");
	return [...passed, ["x-forwarded-for", endingWith(from, chain)], ...(hasProto ? [] : [["x-forwarded-proto", "http"] as const])];
}

/** A request's headers as they came, with lower-case names. */
export function rawPairs({ rawHeaders }: IncomingMessage): readonly Pair[] {
	return Array.from({ length: rawHeaders.length / 2 }, (_, at) => [
		(rawHeaders[2 * at] as string).toLowerCase(),
		rawHeaders[2 * at + 1] as string,
	]);
}

/** Writes what a function may say in headers; what it may not is left out. Several values of one name stay several. */
export function writeFunctionHeaders(response: ServerResponse, headers: readonly Pair[]): void {
	const named = headers.filter(([name]) => name.toLowerCase() === "connection").flatMap(([, value]) => listed(value));
	const allowed = headers
		.slice(0, MOST)
		.filter(([name, value]) => NAME.test(name) && !KEPT_FROM_CALLERS.has(name.toLowerCase()) && !FORBIDDEN.test(value));
	for (const [name, value] of allowed) if (!named.includes(name.toLowerCase())) response.appendHeader(name, value);
}

/** The names that a Connection header lists. */
function listed(value: string): string[] {
	return value.split(",").map((name) => name.trim().toLowerCase());
}

/** The addresses that were said on the way, up to the caller's: proxies that are trusted stay out. */
function endingWith(from: string, chain: readonly string[]): string {
	const said = chain
		.join(",")
		.split(",")
		.map((one) => one.trim());
	const at = said.lastIndexOf(from);
	return at < 0 ? [...chain, from].join(", ") : said.slice(0, at + 1).join(", ");
}
