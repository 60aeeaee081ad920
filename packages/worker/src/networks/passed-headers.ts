import type { ClientRequest, IncomingMessage } from "node:http";
import { pipeline } from "node:stream";

/** Of one connection. */
const LEFT_OUT: ReadonlySet<string> = new Set([
	"connection",
	"keep-alive",
	"proxy-connection",
	"upgrade",
	"trailer",
	"expect",
	"transfer-encoding",
]);

/** Headers for the next connection, as `rawHeaders` has them. @param isTheirs whether who sent it may, by a header's name in lower case */
export function passedOn(raw: readonly string[], isTheirs: (name: string) => boolean = () => true): string[] {
	const kept: string[] = [];
	for (let at = 0; at < raw.length; at += 2) {
		const name = (raw[at] as string).toLowerCase();
		if (!LEFT_OUT.has(name) && isTheirs(name)) kept.push(raw[at] as string, raw[at + 1] as string);
	}
	return kept;
}

/** The same of a request. Node frames no body of a GET by itself: it would stand on the next connection like a request of its own. */
export function requestHeaders({ rawHeaders, headers }: IncomingMessage, isTheirs?: (name: string) => boolean): string[] {
	const { "content-length": length, "transfer-encoding": coding } = headers;
	const framed = coding !== undefined && length === undefined ? ["transfer-encoding", "chunked"] : [];
	return [...passedOn(rawHeaders, isTheirs), ...framed];
}

/**
 * Gives the next connection the body, too.
 * @param headers that went there: a body that none of them frames would stand there like a request of its own, and isn't sent
 * @param refuse is called then
 */
export function passBody(request: IncomingMessage, asked: ClientRequest, headers: readonly string[], refuse: () => void): void {
	if (!headers.some((name, at) => at % 2 === 0 && /^(?:content-length|transfer-encoding)$/i.test(name)))
		request.once("data", () => {
			asked.destroy();
			refuse();
		});
	pipeline(request, asked, () => undefined);
}
