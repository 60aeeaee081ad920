import { setTimeout as pause } from "node:timers/promises";
import type { LogLevel, TailAnswer, TailDropped, TailLine } from "@berth/contracts";
import { ConnectionError } from "./errors.js";
import type { Transport } from "./transport.js";

/** Whose lines, and which. */
export interface LogQuery {
	readonly function?: string;
	readonly invocation?: string;
	/** As grave as that, or graver. */
	readonly level?: LogLevel;
	/** ISO 8601. */
	readonly since?: string;
	/** The newest so many; of those who follow: so many of those that are there. */
	readonly limit?: number;
}

/** Who follows. */
export interface LogListener {
	readonly onLine: (line: TailLine) => void;
	/** Told of lines that there was no room for. */
	readonly onDropped?: (dropped: TailDropped) => void;
	readonly signal?: AbortSignal;
}

/** Connections that break one after another without a line between them, and the pause before each next, milliseconds. */
const RETRIES = 10;
const RETRY_MS = 1000;

/** What functions print. */
export function logsOf(transport: Transport) {
	return {
		/** The newest lines. @throws ApiError `function_not_found`, `invalid_request` */
		logs: (query: LogQuery = {}): Promise<TailAnswer> => transport.json({ method: "GET", path: pathOf(query) }),

		/**
		 * Lines as they are printed, until the signal aborts; a connection that breaks is made again, and goes on after the last line.
		 * @throws ApiError `function_not_found`, `invalid_request`; ConnectionError when it breaks again and again
		 */
		async followLogs(query: LogQuery, { onLine, onDropped, signal }: LogListener): Promise<void> {
			let last: string | undefined;
			for (let failures = 0; signal?.aborted !== true; ) {
				const headers = { accept: "text/event-stream", ...(last === undefined ? {} : { "last-event-id": last }) };
				try {
					for await (const { event, data } of transport.events({ method: "GET", path: pathOf(query), headers, signal })) {
						failures = 0;
						if (event === "dropped") onDropped?.(JSON.parse(data) as TailDropped);
						if (event !== "line") continue;
						const line = JSON.parse(data) as TailLine;
						last = line.id;
						onLine(line);
					}
					throw new ConnectionError(transport.base, new Error("the event stream ended"));
				} catch (error) {
					if (signal?.aborted) return;
					if (!(error instanceof ConnectionError) || ++failures > RETRIES) throw error;
					await pause(RETRY_MS, undefined, { signal }).catch(() => undefined);
				}
			}
		},
	};
}

function pathOf(query: LogQuery): string {
	const parameters = new URLSearchParams();
	for (const [name, value] of Object.entries(query)) if (value !== undefined) parameters.set(name, String(value));
	return parameters.size === 0 ? "/v1/logs" : `/v1/logs?${parameters}`;
}
