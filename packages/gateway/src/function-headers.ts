import type { IncomingMessage } from "node:http";
import type { TLSSocket } from "node:tls";
import {
	CALLER_HEADER,
	connectionNames,
	type HeaderPair,
	HOOK_HEADERS,
	HOP_BY_HOP,
	INVOKING_HEADER,
	JOINED_HEADER,
	MACHINE_SIGNATURE_HEADER,
	SCHEDULE_HEADERS,
	TRACE_HEADERS,
} from "@berth/contracts";
import type { Request } from "express";
import { callerAddress, isProxied } from "./caller-address.js";

/** Not for functions to see: also what the gateway has answered for them, and a trace, which the worker goes on with. */
const KEPT_FROM_FUNCTIONS: ReadonlySet<string> = new Set([...HOP_BY_HOP, "expect", ...Object.values(TRACE_HEADERS)]);
/** What the gateway says to functions, and nobody else may. */
const NOT_FOR_CALLERS: ReadonlySet<string> = new Set([
	CALLER_HEADER,
	JOINED_HEADER,
	INVOKING_HEADER,
	MACHINE_SIGNATURE_HEADER,
	...Object.values(HOOK_HEADERS),
	...Object.values(SCHEDULE_HEADERS),
]);
/** Where a request came from, before a proxy passed it on; `x-forwarded-` has any name behind it. */
const FORWARDED = /^(?:x-forwarded-.*|forwarded|x-real-ip)$/;

/** A key of ours is for the gateway, whoever sends it along, and however: also without `Bearer`. */
const OWN_KEY = /\bberth_[\w-]{16}/;

/**
 * A request's headers as its function sees them: names in lower case, several values of one name as
 * several pairs, none of one connection. `x-forwarded-for` ends with the address that the request came
 * from, and `x-forwarded-proto` says how; what else tells where it came from is there only where a proxy said so that is trusted.
 * @param withKey whether `authorization` is the function's to see, and not a key of ours
 */
export function requestHeaders(request: Request, withKey: boolean): readonly HeaderPair[] {
	return passedHeaders(believedPairs(request), callerAddress(request), withKey);
}

/** The same of a request that is over. @param sent its headers, as `believedPairs` has them. @param from the address it came from */
export function passedHeaders(sent: readonly HeaderPair[], from: string, withKey: boolean): readonly HeaderPair[] {
	const named = sent.filter(([name]) => name === "connection").flatMap(([, value]) => connectionNames(value));
	const passed = sent.filter(([name, value]) => {
		if (KEPT_FROM_FUNCTIONS.has(name) || NOT_FOR_CALLERS.has(name) || named.includes(name) || name === "x-forwarded-for") return false;
		return name !== "authorization" || (withKey && !OWN_KEY.test(value));
	});
	const chain = sent.filter(([name]) => name === "x-forwarded-for").map(([, value]) => value);
	const hasProto = sent.some(([name]) => name === "x-forwarded-proto");
	return [...passed, ["x-forwarded-for", endingWith(from, chain)], ...(hasProto ? [] : [["x-forwarded-proto", "http"] as const])];
}

/** A request's headers as they came, with lower-case names. */
export function rawPairs({ rawHeaders }: IncomingMessage): readonly HeaderPair[] {
	return Array.from({ length: rawHeaders.length / 2 }, (_, at) => [
		(rawHeaders[2 * at] as string).toLowerCase(),
		rawHeaders[2 * at + 1] as string,
	]);
}

/** The same without what nobody is believed but a proxy that is trusted: the ways that it came before. */
export function believedPairs(request: Request): readonly HeaderPair[] {
	const sent = rawPairs(request);
	if (isProxied(request)) return sent;
	const own = sent.filter(([name]) => !FORWARDED.test(name));
	return (request.socket as Partial<TLSSocket>).encrypted === true ? [...own, ["x-forwarded-proto", "https"]] : own;
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
