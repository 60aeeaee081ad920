import { getEvents } from "../events.js";
import { getLogs } from "../logs.js";
import type { Route } from "../route.js";

/** What functions print, and what happens to them. */
export const LOG_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/logs",
		summary: "The newest lines that functions printed; as events (Accept: text/event-stream) those that they print from now on",
		scope: "read",
		query: ["function", "invocation", "level", "since", "limit"],
		answers: { 200: "TailAnswer, or events: line (TailLine), dropped (TailDropped), refused (WatchRefused)" },
		serve: getLogs,
	},
	{
		method: "get",
		path: "/v1/events",
		summary:
			"What happened in the project: deploys, builds, refused deliveries, nodes; as events (Accept: text/event-stream) what happens from now on, with ends of invocations",
		scope: "read",
		query: ["kind", "function", "since", "limit"],
		answers: { 200: "EventList, or events: event (ProjectEvent), dropped (EventsDropped), refused (WatchRefused)" },
		serve: getEvents,
	},
];
