import { BerthError, HOOK_RESULTS, type HookEventList, type HookResult, LIMITS, type Redelivery, redeliverySchema } from "@berth/contracts";
import type { OpenHook, StoredEvent } from "@berth/registry";
import type { Request, Response } from "express";
import { EventStream } from "../event-stream.js";
import { claimedId } from "../idempotency/idempotency.js";
import type { Services } from "../services.js";
import { validate } from "../validation.js";
import { hookFrom, bodyOf as jsonOf } from "./hook-api.js";
import { chosen, detailOf, isFailed, needEvent, shownEvent } from "./hook-events.js";
import { redeliver, redeliveredAmong, redeliveredUnder, whyNot } from "./redeliveries.js";

const MOST_LISTED = 100;
const LISTED = 50;
/** All that a log may have. */
const MOST_REDELIVERED = 1000;
/** Who watches looks again although no news came, milliseconds. */
const LOOK_AGAIN_MS = 1000;

/** `GET /v1/functions/{name}/hooks/{hook}/events`: those there are, or those that come when events are asked for. */
export async function listHookEvents(request: Request, response: Response, services: Services): Promise<void> {
	const found = await hookFrom(request, services);
	if (request.accepts(["application/json", "text/event-stream"]) === "text/event-stream" && request.method === "GET") {
		await watch(found, request, response, services);
		return;
	}
	const { query } = request;
	const result = resultFrom(query["result"]);
	const event = textFrom(query["event"], "event");
	const search = textFrom(query["search"], "search")?.toLowerCase();
	const since = sinceFrom(query["since"]);
	const list = await chosen(
		found,
		(one, { body }) =>
			(result === undefined || (result === "failed" ? isFailed(one) : one.result === result)) &&
			(event === undefined || one.event === event) &&
			(since === undefined || Date.parse(one.at) >= since) &&
			(search === undefined || textOf(one, body).includes(search)),
		numberFrom(query["limit"], "limit", 1, MOST_LISTED) ?? LISTED,
		numberFrom(query["before"], "before", 1, Number.MAX_SAFE_INTEGER),
		services,
	);
	response.json(list satisfies HookEventList);
}

/** `GET /v1/functions/{name}/hooks/{hook}/events/{event}` */
export async function getHookEvent(request: Request, response: Response, services: Services): Promise<void> {
	const found = await hookFrom(request, services);
	response.json(await detailOf(await needEvent(found, String(request.params["event"]), services), services));
}

/** `POST /v1/functions/{name}/hooks/{hook}/events/{event}/redeliver` */
export async function redeliverEvent(request: Request, response: Response, services: Services): Promise<void> {
	const found = await hookFrom(request, services);
	const { event } = await needEvent(found, String(request.params["event"]), services);
	const reason = whyNot(event);
	if (reason !== undefined) throw new BerthError("invalid_request", reason);
	const claimed = claimedId(response);
	const done = await redeliver(found, event, services, "again", claimed === undefined ? undefined : redeliveredUnder(claimed));
	if (typeof done === "string") throw new BerthError("hook_event_not_found", done);
	response.status(202).json({ redelivered: [done], skipped: [] } satisfies Redelivery);
}

/** `POST /v1/functions/{name}/hooks/{hook}/redeliver`: all that failed since, and weren't redelivered. */
export async function redeliverFailed(request: Request, response: Response, services: Services): Promise<void> {
	const found = await hookFrom(request, services);
	const { since } = validate(redeliverySchema, await jsonOf(request, services), { code: "invalid_request", whole: "body" });
	const claimed = claimedId(response);
	const asOf = (event: StoredEvent) => (claimed === undefined ? undefined : redeliveredAmong(claimed, event));
	const { events } = await chosen(
		found,
		// One that this very request has redelivered before is in its answer still.
		(event) =>
			isFailed(event) && [undefined, asOf(event)?.event].includes(event.redeliveredAs) && Date.parse(event.at) >= Date.parse(since),
		MOST_REDELIVERED,
		undefined,
		services,
	);
	// What it made of them itself, when it came before, isn't what it is asked for.
	const own = new Set(events.map((event) => asOf(event)?.event));
	const redelivered: Redelivery["redelivered"][number][] = [];
	const skipped: Redelivery["skipped"][number][] = [];
	// As they came: the oldest first.
	for (const { id } of events.filter((event) => !own.has(event.id)).reverse()) {
		const { event } = await needEvent(found, id, services);
		const done = await redeliver(found, event, services, "once", asOf(event));
		if (typeof done === "string") skipped.push({ event: id, reason: done });
		else redelivered.push(done);
	}
	response.status(202).json({ redelivered, skipped } satisfies Redelivery);
}

/** What comes from now on, or after the last one that is known, until the hook is gone or nobody reads. */
async function watch({ id, hook }: OpenHook, request: Request, response: Response, services: Services): Promise<void> {
	const { log } = services.hooks;
	const known = numberFrom(request.headers["last-event-id"], "Last-Event-ID", 0, Number.MAX_SAFE_INTEGER);
	let last = known ?? (await log.revision(id));
	let news = Promise.withResolvers<void>();
	const unlisten = log.listen((changed) => {
		if (changed === undefined || changed === id) news.resolve();
	});
	const stream = new EventStream(response, services);
	try {
		while (!stream.isGone) {
			news = Promise.withResolvers();
			try {
				if ((await services.hooks.find(id)) === undefined) return stream.end("end", { hook: hook.name, state: "deleted" });
				for (const entry of await log.after(id, last)) {
					last = entry.revision;
					if (entry.event.result !== "running") await stream.send("delivery", await shownEvent(entry, services), entry.revision);
				}
			} catch (error) {
				// Redis is away: the stream goes on when it is back.
				if (!(error instanceof BerthError) || error.code !== "unavailable") throw error;
			}
			await stream.wait(news.promise, LOOK_AGAIN_MS);
		}
	} finally {
		unlisten();
	}
}

/** What a search looks at: all that is shown, and a body that is in place. */
function textOf(event: object, body: { readonly text?: string } | object | undefined): string {
	const inPlace = body !== undefined && "text" in body && typeof body.text === "string" ? body.text : "";
	return `${JSON.stringify(event)}\n${inPlace}`.toLowerCase();
}

function resultFrom(text: unknown): HookResult | undefined {
	if (text === undefined || HOOK_RESULTS.some((result) => result === text)) return text as HookResult | undefined;
	throw wrong("result", `one of ${HOOK_RESULTS.join(", ")}`);
}

function textFrom(text: unknown, field: string): string | undefined {
	if (text === undefined || (typeof text === "string" && text.length >= 1 && text.length <= 200)) return text;
	throw wrong(field, "1 to 200 characters");
}

function sinceFrom(text: unknown): number | undefined {
	if (text === undefined) return undefined;
	const parsed = redeliverySchema.safeParse({ since: text });
	if (parsed.success) return Date.parse(parsed.data.since);
	throw wrong("since", parsed.error.issues[0]?.message ?? "a time");
}

function numberFrom(text: unknown, field: string, min: number, max: number): number | undefined {
	if (text === undefined || text === "") return undefined;
	const number = typeof text === "string" && /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN;
	if (number >= min && number <= max) return number;
	throw wrong(field, `a whole number from ${min}${max > LIMITS.timeoutMs.max ? "" : ` to ${max}`}`);
}

function wrong(field: string, message: string): BerthError {
	return new BerthError("invalid_request", `${field}: ${message}`, { issues: [{ field, message }] });
}
