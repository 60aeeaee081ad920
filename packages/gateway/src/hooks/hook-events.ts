import { BerthError, type HookEvent, type HookEventDetail, type HookResult, outcomeOf } from "@berth/contracts";
import { sharedNow } from "@berth/queue";
import type { OpenHook, StoredEvent } from "@berth/registry";
import type { Services } from "../services.js";

/** Events that are looked at before an answer has as many as may be. */
type Wanted = (event: HookEvent, stored: StoredEvent) => boolean;

/** An event with what became of its invocation meanwhile. */
export async function shownEvent({ revision, event }: Entry, { invocations }: Services): Promise<HookEvent> {
	const { body: _, expiresAtMs, ...rest } = event;
	const shown = { ...rest, revision, result: resultOf(event) };
	if (event.result !== "queued" || event.invocation === undefined) return shown;
	const record = await invocations.record(event.invocation);
	if (record === undefined) return shown;
	const outcome = outcomeOf(record);
	return { ...shown, state: record.state, ...(outcome === undefined ? {} : { outcome }) };
}

/** Whether its function has yet to do well with it, and isn't about to. */
export function isFailed({ result, state, outcome }: HookEvent): boolean {
	return result === "failed" || result === "lost" || (result === "queued" && state === "settled" && outcome !== "succeeded");
}

/** Newest first. @param most that are given; with the revision to go on before, when there are more */
export async function chosen(
	{ id }: OpenHook,
	wanted: Wanted,
	most: number,
	before: number | undefined,
	services: Services,
): Promise<{ readonly events: readonly HookEvent[]; readonly before?: number }> {
	const events: HookEvent[] = [];
	for await (const entry of services.hooks.log.newest(id, before)) {
		const event = await shownEvent(entry, services);
		if (!wanted(event, entry.event)) continue;
		if (events.length === most) return { events, before: (events.at(-1) as HookEvent).revision };
		events.push(event);
	}
	return { events };
}

/** @throws BerthError hook_event_not_found */
export async function needEvent({ id, hook }: OpenHook, event: string, { hooks }: Services): Promise<Entry> {
	const found = /^evt_[0-9a-z]{26}$/.test(event) ? await hooks.log.find(id, event) : undefined;
	if (found === undefined)
		throw new BerthError(
			"hook_event_not_found",
			`the log of ${hook.name} has no event ${JSON.stringify(event.slice(0, 64))}; GET /v1/functions/${hook.function}/hooks/${hook.name}/events lists those there are`,
		);
	return found;
}

/** An event with its body. */
export async function detailOf(entry: Entry, services: Services): Promise<HookEventDetail> {
	const shown = await shownEvent(entry, services);
	const bytes = await bodyOf(entry.event, services);
	if (bytes === undefined) return shown;
	const text = bytes.toString("utf8");
	return { ...shown, body: bytes.equals(Buffer.from(text)) ? { text } : { base64: bytes.toString("base64") } };
}

/** Undefined when it wasn't kept, or is kept no more. */
export async function bodyOf({ body }: StoredEvent, { artifacts }: Services): Promise<Buffer | undefined> {
	if (body === undefined) return undefined;
	return "payload" in body ? await artifacts.deliveries.find(body.payload) : await artifacts.deliveries.getBody(body);
}

/** One that is still running when it can't be any more was lost with its gateway. */
export function resultOf({ result, expiresAtMs }: StoredEvent): HookResult {
	return result === "running" && expiresAtMs !== undefined && expiresAtMs < sharedNow() ? "lost" : result;
}

interface Entry {
	readonly revision: number;
	readonly event: StoredEvent;
}
