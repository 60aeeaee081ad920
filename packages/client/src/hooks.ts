import { setTimeout as pause } from "node:timers/promises";
import {
	HEADERS,
	type Hook,
	type HookChanges,
	type HookEvent,
	type HookEventDetail,
	type HookEventList,
	type HookInput,
	type HookList,
	type HookResult,
	type HookWithSecret,
	type Redelivery,
	type Rotation,
} from "@berth/contracts";
import { ConnectionError } from "./errors.js";
import type { RawAnswer, Transport } from "./transport.js";

/** Which of a hook's events are meant. */
export interface HookEventQuery {
	/** `failed` also means what was lost, and background invocations that didn't succeed. */
	readonly result?: HookResult;
	readonly event?: string;
	/** In what is shown of them, and in bodies up to 4 KiB; case doesn't matter. */
	readonly search?: string;
	/** ISO 8601 */
	readonly since?: string;
	/** 1 to 100; default 50. */
	readonly limit?: number;
	/** Goes on where a list ended. */
	readonly before?: number;
}

/** How a delivery is run once more. */
export interface RedeliverOptions {
	/** However often it is sent with this key, it is one invocation. */
	readonly idempotencyKey?: string | undefined;
}

/** Connections that break one after another without news between them, and the pause before each next, milliseconds. */
const RETRIES = 10;
const RETRY_MS = 500;
const JSON_TYPE = { "content-type": "application/json" };
const pathOf = (name: string) => `/v1/functions/${encodeURIComponent(name)}/hooks`;
const hookPath = (name: string, hook: string) => `${pathOf(name)}/${encodeURIComponent(hook)}`;

/** Hooks of functions, and their logs. */
export function hooksOf(transport: Transport) {
	const post = <T>(path: string, body: object, headers: Readonly<Record<string, string>> = {}): Promise<T> =>
		transport.json({ method: "POST", path, headers: { ...JSON_TYPE, ...headers }, body: JSON.stringify(body) });
	const under = ({ idempotencyKey }: RedeliverOptions) =>
		idempotencyKey === undefined ? {} : { [HEADERS.idempotencyKey]: idempotencyKey };
	return {
		/** @throws ApiError `function_not_found`, `hook_exists`, `invalid_request` */
		makeHook: (name: string, input: HookInput): Promise<HookWithSecret> => post(pathOf(name), input),

		/** By name. @throws ApiError `function_not_found` */
		async hooks(name: string): Promise<readonly Hook[]> {
			return (await transport.json<HookList>({ method: "GET", path: pathOf(name) })).hooks;
		},

		/** @throws ApiError `hook_not_found` */
		hook: (name: string, hook: string): Promise<Hook> => transport.json({ method: "GET", path: hookPath(name, hook) }),

		/** Changes what is named. @throws ApiError `hook_not_found`, `invalid_request` */
		changeHook: (name: string, hook: string, changes: HookChanges): Promise<Hook> =>
			transport.json({ method: "PATCH", path: hookPath(name, hook), headers: JSON_TYPE, body: JSON.stringify(changes) }),

		/** Another secret. @throws ApiError `hook_not_found`, `invalid_request` */
		rotateHook: (name: string, hook: string, rotation: Rotation = {}): Promise<HookWithSecret> =>
			post(`${hookPath(name, hook)}/rotate`, rotation),

		/** With its log. @throws ApiError `hook_not_found` */
		async removeHook(name: string, hook: string): Promise<void> {
			await transport.json({ method: "DELETE", path: hookPath(name, hook) });
		},

		/** Newest first. @throws ApiError `hook_not_found`, `invalid_request` */
		hookEvents: (name: string, hook: string, query: HookEventQuery = {}): Promise<HookEventList> => {
			const given = Object.entries(query).filter(([, value]) => value !== undefined);
			const text = new URLSearchParams(given.map(([field, value]): [string, string] => [field, String(value)])).toString();
			return transport.json({ method: "GET", path: `${hookPath(name, hook)}/events${text === "" ? "" : `?${text}`}` });
		},

		/** With its body. @throws ApiError `hook_event_not_found` */
		hookEvent: (name: string, hook: string, event: string): Promise<HookEventDetail> =>
			transport.json({ method: "GET", path: `${hookPath(name, hook)}/events/${encodeURIComponent(event)}` }),

		/**
		 * Deliveries as they come, until the signal, or until the hook is gone; a connection that breaks is made again, and goes on after the last one.
		 * @throws ApiError `hook_not_found`; ConnectionError when it breaks again and again
		 */
		async *followHook(name: string, hook: string, signal?: AbortSignal): AsyncGenerator<HookEvent> {
			let last: number | undefined;
			for (let failures = 0; ; ) {
				const headers = { accept: "text/event-stream", ...(last === undefined ? {} : { "last-event-id": String(last) }) };
				try {
					for await (const { event, data } of transport.events({
						method: "GET",
						path: `${hookPath(name, hook)}/events`,
						headers,
						signal,
					})) {
						failures = 0;
						if (event === "end") return;
						if (event !== "delivery") continue;
						const delivery = JSON.parse(data) as HookEvent;
						last = delivery.revision;
						yield delivery;
					}
					throw new ConnectionError(transport.base, new Error("the event stream ended in the middle"));
				} catch (error) {
					if (!(error instanceof ConnectionError) || ++failures > RETRIES) throw error;
					await pause(RETRY_MS, undefined, { signal });
				}
			}
		},

		/** Runs one delivery once more. @throws ApiError `hook_event_not_found`, `invalid_request` */
		redeliver: (name: string, hook: string, event: string, options: RedeliverOptions = {}): Promise<Redelivery> =>
			post(`${hookPath(name, hook)}/events/${encodeURIComponent(event)}/redeliver`, {}, under(options)),

		/** Delivers to a hook's path as its provider would, and gives the answer as it came. A client for it has no key. @throws ConnectionError */
		deliver: (path: string, headers: Readonly<Record<string, string>>, body: Uint8Array): Promise<RawAnswer> =>
			transport.raw({ method: "POST", path, headers, body }),

		/** Runs all once more that failed since. @param since ISO 8601 */
		redeliverFailed: (name: string, hook: string, since: string, options: RedeliverOptions = {}): Promise<Redelivery> =>
			post(`${hookPath(name, hook)}/redeliver`, { since }, under(options)),
	};
}
