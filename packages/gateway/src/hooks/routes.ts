import { hookChangesSchema, hookInputSchema, redeliverySchema, rotationSchema } from "@berth/contracts";
import type { Invocations } from "../invocations.js";
import type { Route } from "../route.js";
import { Deliveries } from "./deliveries.js";
import { getHookEvent, listHookEvents, redeliverEvent, redeliverFailed } from "./event-api.js";
import { changeHook, getHook, listHooks, makeHook, removeHook, rotateHook } from "./hook-api.js";

const HOOKS = "/v1/functions/{name}/hooks";
const HOOK = `${HOOKS}/{hook}`;

/** Where providers deliver, and where hooks are looked after. */
export function hookRoutes(invocations: Invocations): readonly Route[] {
	return [deliveryRoute(invocations), ...HOOK_ROUTES, ...EVENT_ROUTES];
}

function deliveryRoute(invocations: Invocations): Route {
	let deliveries: Deliveries | undefined;
	return {
		method: "all",
		path: "/hook/{id}",
		summary: "Deliver to a hook, as its scheme has it. What isn't let in gets one answer, whatever the reason is.",
		scope: "none",
		answers: { 200: "What the function answers, or what the hook says", 202: "Accepted in the background" },
		serve: (request, response, services) => {
			deliveries ??= new Deliveries(services, invocations.interactive);
			return deliveries.receive(request, response);
		},
	};
}

const HOOK_ROUTES: readonly Route[] = [
	{
		method: "post",
		path: HOOKS,
		summary: "Make a hook: a URL that nobody guesses, and how what is delivered there is verified",
		scope: "deploy",
		body: hookInputSchema,
		answers: { 201: "HookWithSecret: a secret that was made is shown this once" },
		serve: makeHook,
	},
	{
		method: "get",
		path: HOOKS,
		summary: "Its hooks, without their secrets",
		scope: "read",
		answers: { 200: "HookList" },
		serve: listHooks,
	},
	{ method: "get", path: HOOK, summary: "One hook", scope: "read", answers: { 200: "Hook" }, serve: getHook },
	{
		method: "patch",
		path: HOOK,
		summary: "Change what is named of a hook",
		scope: "deploy",
		body: hookChangesSchema,
		answers: { 200: "The hook as it is now" },
		serve: changeHook,
	},
	{
		method: "delete",
		path: HOOK,
		summary: "Remove a hook and its log; its URL is nobody's any more",
		scope: "deploy",
		answers: { 204: "Gone" },
		serve: removeHook,
	},
	{
		method: "post",
		path: `${HOOK}/rotate`,
		summary: "Another secret; the one before is good for a while, too",
		scope: "deploy",
		body: rotationSchema,
		answers: { 200: "HookWithSecret: a secret that was made is shown this once" },
		serve: rotateHook,
	},
];

const EVENT_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: `${HOOK}/events`,
		summary:
			"Its deliveries, newest first; `?result=`, `event=`, `search=`, `since=`, `limit=`, `before=`. With `Accept: text/event-stream` those that come.",
		scope: "read",
		answers: { 200: "HookEventList, or text/event-stream" },
		query: ["result", "event", "search", "since", "limit", "before"],
		serve: listHookEvents,
	},
	{
		method: "get",
		path: `${HOOK}/events/{event}`,
		summary: "One delivery, with its body",
		scope: "read",
		answers: { 200: "HookEventDetail" },
		serve: getHookEvent,
	},
	{
		method: "post",
		path: `${HOOK}/events/{event}/redeliver`,
		summary: "Run a delivery once more, in the background",
		scope: "invoke",
		answers: { 202: "Redelivery" },
		serve: redeliverEvent,
	},
	{
		method: "post",
		path: `${HOOK}/redeliver`,
		summary: "Run all deliveries once more that failed since a time",
		scope: "invoke",
		body: redeliverySchema,
		answers: { 202: "Redelivery" },
		serve: redeliverFailed,
	},
];
