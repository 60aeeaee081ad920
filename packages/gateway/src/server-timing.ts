import type { ServerResponse } from "node:http";
import { HEADERS, type InvocationRequest, type Phases, type StartKind } from "@berth/contracts";

/** Has an answer say, with its head, how long it took until then: whoever gives it, and whatever it says besides. */
export function timeAnswer(response: ServerResponse): void {
	const startedAt = performance.now();
	const { writeHead } = response;
	response.writeHead = ((...head: Parameters<typeof writeHead>) => {
		response.writeHead = writeHead;
		addTiming(response, `total;dur=${(performance.now() - startedAt).toFixed(2)}`);
		return writeHead.apply(response, head);
	}) as typeof writeHead;
}

/** One metric more of an answer's `Server-Timing`. */
export function addTiming(response: ServerResponse, metric: string): void {
	const said = response.getHeader(HEADERS.serverTiming);
	response.setHeader(HEADERS.serverTiming, said === undefined ? metric : `${String(said)}, ${metric}`);
}

/** Which trace an invocation belongs to, where a page's script can read it too: what tools for that look for in `Server-Timing`. */
export function sayTrace(response: ServerResponse, { trace }: InvocationRequest): void {
	if (trace !== undefined) addTiming(response, `traceparent;desc="${trace.traceparent}"`);
}

/** Milliseconds per phase. */
export function phasesTiming({ queueMs, startMs, initMs, runMs }: Phases, start: StartKind | undefined): string {
	const kind = start === undefined ? "" : `;desc=${start}`;
	return `queue;dur=${queueMs.toFixed(2)}, start;dur=${startMs.toFixed(2)}${kind}, init;dur=${initMs.toFixed(2)}, run;dur=${runMs.toFixed(2)}`;
}
