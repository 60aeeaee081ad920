import { getLogs } from "../logs.js";
import type { Route } from "../route.js";

/** What functions print. */
export const LOG_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/logs",
		summary: "The newest lines that functions printed; as events (Accept: text/event-stream) those that they print from now on",
		key: true,
		query: ["function", "invocation", "level", "since", "limit"],
		answers: { 200: "TailAnswer, or events: line (TailLine), dropped (TailDropped)" },
		serve: getLogs,
	},
];
