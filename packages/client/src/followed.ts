import { setTimeout as pause } from "node:timers/promises";
import { ConnectionError, isPassing } from "./errors.js";
import type { ServerEvent } from "./event-stream.js";
import type { Transport } from "./transport.js";

/** Connections that break one after another without an event between them, and the pause before each next, milliseconds. */
const RETRIES = 10;
const RETRY_MS = 1000;

/**
 * The events of a stream that has no end, until the signal aborts. A connection that breaks is made again, and goes on after the last
 * event that had an id; so is one that is refused for now, by a gateway that starts, say. @throws ApiError; ConnectionError when it breaks again and again
 */
export async function* followed(transport: Transport, path: string, signal: AbortSignal | undefined): AsyncGenerator<ServerEvent> {
	let last: string | undefined;
	for (let failures = 0; signal?.aborted !== true; ) {
		const headers = { accept: "text/event-stream", ...(last === undefined ? {} : { "last-event-id": last }) };
		try {
			for await (const event of transport.events({ method: "GET", path, headers, signal })) {
				failures = 0;
				last = event.id ?? last;
				yield event;
			}
			throw new ConnectionError(transport.base, new Error("the event stream ended"));
		} catch (error) {
			if (signal?.aborted) return;
			if (!isPassing(error) || ++failures > RETRIES) throw error;
			await pause(RETRY_MS, undefined, { signal }).catch(() => undefined);
		}
	}
}

export function withQuery(path: string, query: object): string {
	const parameters = new URLSearchParams();
	for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
	return parameters.size === 0 ? path : `${path}?${parameters}`;
}
