import type { ServerResponse } from "node:http";
import { HEADERS } from "@berth/contracts";

/** Headers of one connection (RFC 9110, 7.6.1), or whose value the gateway decides. */
const DROPPED: ReadonlySet<string> = new Set([
	"connection",
	"keep-alive",
	"proxy-authenticate",
	"proxy-authorization",
	"proxy-connection",
	"te",
	"trailer",
	"transfer-encoding",
	"upgrade",
	"content-length",
	...Object.values(HEADERS),
]);
const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that mustn't get through
const FORBIDDEN = /[\0-\x08\n-\x1f\x7f]|[^\0-\xff]/;
const MOST = 100;

/** Writes what a function may say in headers; what it may not is left out. Several values of one name stay several. */
export function writeFunctionHeaders(response: ServerResponse, headers: readonly (readonly [string, string])[]): void {
	const allowed = headers
		.slice(0, MOST)
		.filter(([name, value]) => NAME.test(name) && !DROPPED.has(name.toLowerCase()) && !FORBIDDEN.test(value));
	for (const [name, value] of allowed) response.appendHeader(name, value);
}
