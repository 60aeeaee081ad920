import type { ServerResponse } from "node:http";
import { answerHeaders, type HeaderPair } from "@berth/contracts";

/** What is left of a rate, by the draft and as it was said before: where the project has one, that is what its callers are told. */
const RATE = /^(?:x-)?ratelimit(?:-.*)?$/i;
/** Answers of which the gateway says which other origins' pages may read them (cors.ts). */
const withCors = new WeakSet<ServerResponse>();

/** What a function may say of its answer, and neither its manifest nor its project has decided. */
export function writeAnswerHeaders(response: ServerResponse, said: readonly HeaderPair[]): void {
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
