import {
	BerthError,
	EVENT_KINDS,
	EVENTS_KEPT,
	type EventKind,
	type EventList,
	type EventsDropped,
	newId,
	type ProjectEvent,
	type WatchFollowing,
} from "@berth/contracts";
import { functionNotFound } from "@berth/registry";
import type { Request, Response } from "express";
import { principalOf } from "./auth.js";
import { EventStream } from "./event-stream.js";
import { nameFrom } from "./names.js";
import { NodeFollowing } from "./node-following.js";
import { countFrom, timeFrom, wrongQuery } from "./query.js";
import type { Services } from "./services.js";

const LISTED = 100;
/** Who watches looks again although no news came, milliseconds. */
const LOOK_AGAIN_MS = 1000;
/** Ids are those of a Redis stream. */
const EVENT_ID = /^\d{1,15}-\d{1,10}$/;

interface Wanted {
	readonly project: string;
	readonly kind: EventKind | undefined;
	readonly function: string | undefined;
	readonly sinceMs: number;
	/** Machines' names are the operator's to know. */
	readonly withHosts: boolean;
}

/** `GET /v1/events`: those that are kept, or with events those that happen from now on. */
export async function getEvents(request: Request, response: Response, services: Services): Promise<void> {
	const { project, holder } = principalOf(request);
	const { query } = request;
	const wanted: Wanted = {
		project,
		kind: kindFrom(query["kind"]),
		function: query["function"] === undefined ? undefined : nameFrom(query["function"], "function"),
		sinceMs: timeFrom(query["since"], "since") ?? 0,
		withHosts: holder.project === undefined,
	};
	const limit = countFrom(query["limit"], "limit", 1, EVENTS_KEPT) ?? LISTED;
	if (request.accepts(["application/json", "text/event-stream"]) === "text/event-stream" && request.method === "GET") {
		await watch(wanted, lastIdFrom(request.headers["last-event-id"]), response, services);
		return;
	}
	const kept = (await services.events.read(project)).filter((event) => isWanted(wanted, event));
	// What is deleted has events still; what never was has none.
	const { function: name } = wanted;
	if (name !== undefined && kept.length === 0 && (await services.functions.getFunction(project, name)) === undefined)
		throw functionNotFound(name);
	response.json({
		events: kept
			.slice(-limit)
			.reverse()
			.map((event) => shown(wanted, event)),
	} satisfies EventList);
}

/** What happens from now on, since a time, or after an event; and how invocations end, which isn't kept. */
async function watch(wanted: Wanted, after: string | undefined, response: Response, services: Services): Promise<void> {
	const { project } = wanted;
	const from = after ?? (wanted.sinceMs > 0 ? undefined : ((await services.events.read(project)).at(-1)?.id ?? "0-0"));
	const stream = new EventStream(response, services);
	const follower = newId("req");
	const filter = { project, ...(wanted.function === undefined ? {} : { function: wanted.function }) };
	const ends = new NodeFollowing({
		stream,
		services,
		question: (isLast) => ({ kind: "ends", filter, follower, ...(isLast ? { ends: isLast } : {}) }),
		say: async (answer) => {
			if (answer.kind !== "ends") return;
			for (const event of answer.events) if (isWanted(wanted, event)) await stream.send("event", shown(wanted, event));
			if (answer.dropped > 0) await stream.send("dropped", { events: answer.dropped } satisfies EventsDropped);
		},
	});
	const isOfEnds = wanted.kind === undefined || wanted.kind === "invocation";
	// Of what is kept nothing is missed after `from`.
	if (!isOfEnds) await stream.send("following", { nodes: [] } satisfies WatchFollowing);
	await Promise.all([kept(wanted, from, stream, services), ...(isOfEnds ? [ends.run()] : [])]);
}

async function kept(wanted: Wanted, from: string | undefined, stream: EventStream, { events }: Services): Promise<void> {
	let last = from;
	let news = Promise.withResolvers<void>();
	const unlisten = events.listen(() => news.resolve());
	try {
		while (!stream.isGone) {
			// What is said from here on is news: the read comes after.
			news = Promise.withResolvers();
			try {
				for (const event of await events.read(wanted.project, last)) {
					last = event.id;
					if (isWanted(wanted, event)) await stream.send("event", shown(wanted, event), event.id);
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

function isWanted({ kind, function: name, sinceMs }: Wanted, event: ProjectEvent): boolean {
	if (kind !== undefined && kind !== event.kind) return false;
	return (name === undefined || name === event.function) && Date.parse(event.at) >= sinceMs;
}

function shown({ withHosts }: Wanted, event: ProjectEvent): ProjectEvent {
	const { host: _, ...others } = event;
	return withHosts ? event : others;
}

function kindFrom(text: unknown): EventKind | undefined {
	if (text === undefined) return undefined;
	const kind = EVENT_KINDS.find((one) => one === text);
	if (kind === undefined) throw wrongQuery("kind", `one of ${EVENT_KINDS.join(", ")}`);
	return kind;
}

function lastIdFrom(text: string | readonly string[] | undefined): string | undefined {
	if (text === undefined || text === "") return undefined;
	if (typeof text === "string" && EVENT_ID.test(text)) return text;
	throw wrongQuery("Last-Event-ID", "the id of an event of this stream, as in 1764096000000-0");
}
