import type { IncomingMessage } from "node:http";

/** Who stands in front may go by the other one. */
const ONCE = [
	["Host", "host"],
	["Authorization", "authorization"],
] as const;

/**
 * What is wrong with a request's head, where Node's parser lets pass what a proxy in front may have read in another way; undefined when
 * nothing is. Its answer is the connection's last one.
 */
export function faultOf({ httpVersion, headers, rawHeaders }: IncomingMessage): string | undefined {
	const { host, "transfer-encoding": coding } = headers;
	if (httpVersion !== "1.1" && httpVersion !== "1.0") return `HTTP/${httpVersion} isn't spoken here; HTTP/1.1 is`;
	// RFC 9112, 3.2.
	if (host === undefined && httpVersion === "1.1") return "the header Host is missing";
	const names = rawHeaders.flatMap((name, at) => (at % 2 === 0 ? [name.toLowerCase()] : []));
	for (const [name, lower] of ONCE)
		if (names.indexOf(lower) !== names.lastIndexOf(lower)) return `the header ${name} is there more than once; say it once`;
	if (coding === undefined) return undefined;
	// RFC 9112, 6.1.
	if (httpVersion === "1.0") return "HTTP/1.0 has no transfer-encoding; say HTTP/1.1, or a content-length";
	return coding.trim().toLowerCase() === "chunked" ? undefined : "transfer-encoding can be chunked, and nothing else";
}
