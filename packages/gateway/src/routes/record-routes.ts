import { cancelInvocation } from "../cancellation.js";
import { purgeDeadLetter, purgeDeadLetters, replayDeadLetters } from "../dead-letters.js";
import { FILTERS, listInvocations } from "../invocation-lists.js";
import { watchInvocation } from "../invocation-watch.js";
import { getAttempt, getInvocation } from "../records.js";
import { replayInvocation } from "../replays.js";
import type { Route } from "../route.js";

/** What is known of invocations, and what can be done with them. */
export const RECORD_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/invocations/{id}",
		summary: "The record of an invocation. `?wait=30s` answers when it is settled, or as it is then; 60s at most.",
		scope: "read",
		query: ["wait"],
		answers: { 200: "InvocationAnswer" },
		serve: getInvocation,
	},
	{
		method: "get",
		path: "/v1/invocations",
		summary:
			"The project's background invocations, newest first. A page looks at 2,000 at most: one that is short may have a cursor. `?dead=true`: the dead letters.",
		scope: "read",
		query: ["state", "dead", "limit", ...FILTERS],
		answers: { 200: "InvocationList" },
		serve: listInvocations,
	},
	{
		method: "get",
		path: "/v1/invocations/{id}/attempts/{number}",
		summary: "One of its attempts, with its log",
		scope: "read",
		answers: { 200: "AttemptDetail" },
		serve: getAttempt,
	},
	{
		method: "get",
		path: "/v1/invocations/{id}/events",
		summary: "What happened to it and what happens, as Server-Sent Events, until it is settled. `Last-Event-ID` leaves out what is known.",
		scope: "read",
		answers: { 200: "text/event-stream" },
		serve: watchInvocation,
	},
	{
		method: "post",
		path: "/v1/invocations/{id}/cancel",
		summary:
			"Cancel an invocation, at any gateway: what waits never begins; what runs gets its abort signal, and 5 s later its sandbox is killed",
		scope: "invoke",
		answers: {
			200: "CancelAnswer: it is settled, by this or before; with its record for a key that has the scope read too, else `id` and `state`",
			202: "CancelAnswer: it runs, and was told",
		},
		serve: cancelInvocation,
	},
	{
		method: "post",
		path: "/v1/invocations/{id}/replay",
		summary:
			"Run the payload of a settled background invocation once more, as a new one: with its version, or with `?version=latest` with the live one",
		scope: "invoke",
		query: ["version"],
		answers: { 200: "ReplayAnswer: of the dead letter's replay before this", 202: "ReplayAnswer; the record is at Location" },
		serve: replayInvocation,
	},
];

/** Those that were given up; `GET /v1/invocations?dead=true` lists them. */
export const DEAD_LETTER_ROUTES: readonly Route[] = [
	{
		method: "post",
		path: "/v1/dead-letters/replay",
		summary: "Replay dead letters, the newest first, 100 at most: they are none any more then. The cursor goes on.",
		scope: "invoke",
		query: ["version", "limit", ...FILTERS],
		answers: { 202: "DeadLettersReplayed" },
		serve: replayDeadLetters,
	},
	{
		method: "delete",
		path: "/v1/dead-letters",
		summary: "Remove dead letters with their records, the newest first, 1,000 at most. The cursor goes on.",
		scope: "deploy",
		query: ["limit", ...FILTERS],
		answers: { 200: "DeadLettersPurged" },
		serve: purgeDeadLetters,
	},
	{
		method: "delete",
		path: "/v1/dead-letters/{id}",
		summary: "Remove a dead letter with its record",
		scope: "deploy",
		answers: { 204: "Gone" },
		serve: purgeDeadLetter,
	},
];
