import { EVENTS_KEPT, type ProjectEvent } from "@berth/contracts";
import { closeRedis, guarded, LuaScript, type Redis, Subscription } from "@berth/redis";
import { EVENT_NEWS, eventsOf, onceOf } from "./keys.js";
import type { QueueLogger } from "./logger.js";

/** How long it is remembered that something was told that several see, seconds. */
const ONCE_S = 3600;

const RECORD = new LuaScript(`
	if #KEYS > 1 and not redis.call("SET", KEYS[2], "1", "NX", "EX", ARGV[4]) then return end
	redis.call("XADD", KEYS[1], "MAXLEN", ARGV[1], "*", "event", ARGV[2])
	redis.call("PUBLISH", ARGV[3], "")
`);

export type NewEvent = Omit<ProjectEvent, "id" | "at">;

/** Where things happen that are told here. */
export type EventPlace = Pick<ProjectEvent, "node" | "host">;

/** What happened lately, on the fast Redis: the newest thousand of each project, and of the nodes, which every project sees. */
export class EventLog {
	readonly #redis: Redis;
	readonly #subscriber: Redis | undefined;
	readonly #log: QueueLogger;
	readonly #place: EventPlace;
	readonly #listeners = new Set<() => void>();

	/** It owns both. @param redis for `command` use. @param subscriber absent: nobody listens here. @param place of a node: all that is told here happened there */
	constructor(redis: Redis, subscriber: Redis | undefined, log: QueueLogger, place: EventPlace = {}) {
		this.#redis = redis;
		this.#subscriber = subscriber;
		this.#log = log;
		this.#place = place;
		const tell = () => {
			for (const listener of this.#listeners) listener();
		};
		if (subscriber !== undefined) new Subscription(subscriber, [EVENT_NEWS], { onMessage: tell, onResumed: tell }, log);
	}

	/**
	 * Tells it, in the background: nothing that happens depends on whether it can be told.
	 * @param project undefined: of the nodes. @param once told by whoever comes first
	 */
	record(project: string | undefined, event: NewEvent, once?: string): void {
		const text = JSON.stringify({ at: new Date().toISOString(), ...this.#place, ...event });
		const keys = [eventsOf(project), ...(once === undefined ? [] : [onceOf(once)])];
		if (this.#redis.status !== "ready") return;
		RECORD.run(this.#redis, keys, [EVENTS_KEPT, text, EVENT_NEWS, ONCE_S]).catch((error: unknown) =>
			this.#log.debug({ error, kind: event.kind }, "an event couldn't be told"),
		);
	}

	/** All that is kept, the oldest first. @param after the id of one. @throws BerthError unavailable */
	async read(project: string, after?: string): Promise<readonly (ProjectEvent & { readonly id: string })[]> {
		const from = after === undefined ? "-" : `(${after}`;
		const found = await guarded(this.#redis, "reading events", () =>
			Promise.all([undefined, project].map((each) => this.#redis.xrange(eventsOf(each), from, "+"))),
		);
		return found
			.flat()
			.map(([id, [, text = "{}"]]) => ({ id, ...(JSON.parse(text) as Omit<ProjectEvent, "id">) }))
			.sort(byId);
	}

	async close(): Promise<void> {
		await Promise.all([closeRedis(this.#redis), ...(this.#subscriber === undefined ? [] : [closeRedis(this.#subscriber)])]);
	}

	/** @returns what ends it */
	listen(listener: () => void): () => void {
		this.#listeners.add(listener);
		return () => this.#listeners.delete(listener);
	}
}

/** Ids are those of Redis streams: a time and a number. */
function byId(a: { readonly id: string }, b: { readonly id: string }): number {
	const [[aMs, aNumber], [bMs, bNumber]] = [a, b].map(({ id }) => id.split("-").map(Number)) as [[number, number], [number, number]];
	return aMs - bMs || aNumber - bNumber;
}
