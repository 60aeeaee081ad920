import { setTimeout as pause } from "node:timers/promises";
import type { BuildLogAnswer, BuildLogEnd, BuildProgress, StoredLogLine } from "@berth/contracts";
import { ConnectionError, isPassing } from "./errors.js";
import type { Transport } from "./transport.js";

/** Who follows a build. */
export interface BuildFollower {
	readonly onLine?: (line: StoredLogLine) => void;
	readonly onProgress?: (progress: BuildProgress) => void;
	readonly signal?: AbortSignal;
}

/** Connections that break one after another without news between them, and the pause before each next, milliseconds. */
const RETRIES = 5;
const RETRY_MS = 500;

/** What builds said, and say. */
export function buildLogsOf(transport: Transport) {
	const pathOf = (name: string, number: number) => `/v1/functions/${encodeURIComponent(name)}/versions/${number}/log`;
	return {
		/** What a version's build has said so far. @throws ApiError `function_not_found`, `version_not_found` */
		buildLog: (name: string, number: number): Promise<BuildLogAnswer> => transport.json({ method: "GET", path: pathOf(name, number) }),

		/**
		 * Follows a build from its first line to its end; a connection that breaks is made again, and goes on after the last line; so is one that is refused for now.
		 * @throws ApiError `function_not_found`, `version_not_found`; ConnectionError when it breaks again and again
		 */
		async followBuild(name: string, number: number, { onLine, onProgress, signal }: BuildFollower = {}): Promise<BuildLogEnd> {
			let last: string | undefined;
			for (let failures = 0; ; ) {
				const headers = { accept: "text/event-stream", ...(last === undefined ? {} : { "last-event-id": last }) };
				try {
					for await (const { event, data } of transport.events({ method: "GET", path: pathOf(name, number), headers, signal })) {
						failures = 0;
						if (event === "end") return JSON.parse(data) as BuildLogEnd;
						if (event === "progress") onProgress?.(JSON.parse(data) as BuildProgress);
						if (event !== "line") continue;
						const line = JSON.parse(data) as StoredLogLine;
						last = line.id;
						onLine?.(line);
					}
					throw new ConnectionError(transport.base, new Error("the event stream ended in the middle"));
				} catch (error) {
					if (!isPassing(error) || ++failures > RETRIES) throw error;
					await pause(RETRY_MS, undefined, { signal });
				}
			}
		},
	};
}
