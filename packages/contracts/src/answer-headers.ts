import { HEADERS } from "./http-api.js";

export type HeaderPair = readonly [name: string, value: string];

/** Headers of one connection (RFC 9110, 7.6.1). */
export const HOP_BY_HOP: readonly string[] = [
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

/** How an answer is framed, its server says: a function's HTTP library says it of its own, and nothing is lost with it. */
const FRAMING: ReadonlySet<string> = new Set([...HOP_BY_HOP, "content-length"]);
/** Not for functions to say: their values the gateway decides. */
const OURS: ReadonlySet<string> = new Set(Object.values(HEADERS));
/**
 * What proxies in front take for orders: a file of theirs to send in the answer's place; and what browsers do for a whole origin, which functions
 * of all projects share: another server for it, only HTTPS, and all forgotten that it keeps.
 */
const ORDERS =
	/^(?:x-accel-(?!buffering$).*|x-sendfile|x-lighttpd-send-?file|x-reproxy-.*|alt-svc|strict-transport-security|clear-site-data)$/;
/** An answer has one of each (RFC 9110); of several the first counts. */
const SINGLE: ReadonlySet<string> = new Set(["content-type", "location", "date", "server", "etag", "last-modified", "retry-after"]);

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,256}$/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are the ones that mustn't get through
const FORBIDDEN = /[\0-\x08\n-\x1f\x7f]|[^\0-\xff]/;
const MOST = 100;
/** Of those left out, this many are named, and none that is longer. */
const MOST_NAMED = 10;
const MOST_NAME_CHARS = 64;

/** Why a header isn't in an answer. `framing` is nothing that a function would miss. */
type Reason = "framing" | "name" | "value" | "reserved" | "again" | "beyond";

const REASONS: Readonly<Record<Exclude<Reason, "framing">, string>> = {
	name: "no name that a header can have",
	value: "its value has a line break, a NUL, another control character, or one beyond Latin-1",
	reserved: "not for functions to say",
	again: "an answer has one, and this isn't the first",
	beyond: `more than ${MOST} headers`,
};

/**
 * What a function may say in its answer's headers: docs/http-api.md has it as a table. What it may not is left out, the rest stays as it is,
 * in order; several values of one name stay several.
 */
export function answerHeaders(said: readonly HeaderPair[]): readonly HeaderPair[] {
	const reasonOf = reasons(said);
	return said.filter((pair) => reasonOf(pair) === undefined);
}

/** Says which of them are left out and why, in a line that is bounded; undefined when a function would miss none. */
export function leftOutOf(said: readonly HeaderPair[]): string | undefined {
	if (said.length === 0) return undefined;
	const reasonOf = reasons(said);
	const named = new Set<string>();
	let more = 0;
	for (const pair of said) {
		const reason = reasonOf(pair);
		if (reason === undefined || reason === "framing") continue;
		const one = `${quoted(pair[0])} (${REASONS[reason]})`;
		if (named.size < MOST_NAMED) named.add(one);
		else if (!named.has(one)) more++;
	}
	if (named.size === 0) return undefined;
	return `left out of the answer's headers: ${[...named].join(", ")}${more === 0 ? "" : `, and ${more} more`}`;
}

/** The names that a Connection header lists. */
export function connectionNames(value: string): string[] {
	return value.split(",").map((name) => name.trim().toLowerCase());
}

/** To be asked of each, in order. @returns why it is left out; undefined: it isn't */
function reasons(said: readonly HeaderPair[]): (pair: HeaderPair) => Reason | undefined {
	const named = new Set(said.filter(([name]) => name.toLowerCase() === "connection").flatMap(([, value]) => connectionNames(value)));
	const once = new Set<string>();
	let count = 0;
	return ([name, value]) => {
		if (++count > MOST) return "beyond";
		const known = name.toLowerCase();
		if (!NAME.test(name)) return "name";
		if (FORBIDDEN.test(value)) return "value";
		if (FRAMING.has(known) || named.has(known)) return "framing";
		if (OURS.has(known) || known.startsWith("berth-") || ORDERS.test(known)) return "reserved";
		if (once.has(known)) return "again";
		if (SINGLE.has(known)) once.add(known);
		return undefined;
	};
}

/** Cut nowhere: a piece of a secret wouldn't be recognised as one. */
function quoted(name: string): string {
	return name.length > MOST_NAME_CHARS ? `a name of ${name.length} characters` : JSON.stringify(name);
}
