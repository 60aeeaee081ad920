import type { LogLevel, TailAnswer, TailDropped, TailLine, WatchFollowing, WatchRefused } from "@berth/contracts";
import { followed, withQuery } from "./followed.js";
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
	/** Told of a node that too many watch already: it is asked again. */
	readonly onRefused?: (refused: WatchRefused) => void;
	/** Told that nothing is missed from now on, and again after a connection that broke. */
	readonly onFollowing?: (following: WatchFollowing) => void;
	readonly signal?: AbortSignal;
}

/** What functions print. */
export function logsOf(transport: Transport) {
	return {
		/** The newest lines. @throws ApiError `function_not_found`, `invalid_request` */
		logs: (query: LogQuery = {}): Promise<TailAnswer> => transport.json({ method: "GET", path: withQuery("/v1/logs", query) }),

		/**
		 * Lines as they are printed, until the signal aborts; a connection that breaks is made again, and goes on after the last line.
		 * @throws ApiError `function_not_found`, `invalid_request`; ConnectionError when it breaks again and again
		 */
		async followLogs(query: LogQuery, { onLine, onDropped, onRefused, onFollowing, signal }: LogListener): Promise<void> {
			for await (const { event, data } of followed(transport, withQuery("/v1/logs", query), signal)) {
				if (event === "dropped") onDropped?.(JSON.parse(data) as TailDropped);
				if (event === "following") onFollowing?.(JSON.parse(data) as WatchFollowing);
				if (event === "refused") onRefused?.(JSON.parse(data) as WatchRefused);
				if (event === "line") onLine(JSON.parse(data) as TailLine);
			}
		},
	};
}
