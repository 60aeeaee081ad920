import type { EventKind, EventList, EventsDropped, ProjectEvent, WatchFollowing, WatchRefused } from "@berth/contracts";
import { followed, withQuery } from "./followed.js";
import type { Transport } from "./transport.js";

/** Which events. */
export interface EventQuery {
	readonly kind?: EventKind;
	readonly function?: string;
	/** ISO 8601. */
	readonly since?: string;
	/** The newest so many. */
	readonly limit?: number;
}

/** Who watches. */
export interface EventListener {
	readonly onEvent: (event: ProjectEvent) => void;
	/** Told of ends of invocations that there was no room for. */
	readonly onDropped?: (dropped: EventsDropped) => void;
	/** Told of a node that too many watch already: it is asked again. */
	readonly onRefused?: (refused: WatchRefused) => void;
	/** Told that nothing is missed from now on, and again after a connection that broke. */
	readonly onFollowing?: (following: WatchFollowing) => void;
	readonly signal?: AbortSignal;
}

/** What happens in a project. */
export function eventsOf(transport: Transport) {
	return {
		/** What happened, the newest first. @throws ApiError `invalid_request` */
		events: (query: EventQuery = {}): Promise<EventList> => transport.json({ method: "GET", path: withQuery("/v1/events", query) }),

		/**
		 * What happens, until the signal aborts; a connection that breaks is made again.
		 * @throws ApiError `invalid_request`; ConnectionError when it breaks again and again
		 */
		async followEvents(query: EventQuery, { onEvent, onDropped, onRefused, onFollowing, signal }: EventListener): Promise<void> {
			for await (const { event, data } of followed(transport, withQuery("/v1/events", query), signal)) {
				if (event === "dropped") onDropped?.(JSON.parse(data) as EventsDropped);
				if (event === "following") onFollowing?.(JSON.parse(data) as WatchFollowing);
				if (event === "refused") onRefused?.(JSON.parse(data) as WatchRefused);
				if (event === "event") onEvent(JSON.parse(data) as ProjectEvent);
			}
		},
	};
}
