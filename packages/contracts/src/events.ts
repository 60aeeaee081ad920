/** What happens in a project, as far as it is told. */
export const EVENT_KINDS = ["deploy", "build", "invocation", "hook", "node"] as const;
export type EventKind = (typeof EVENT_KINDS)[number];

/** Something that happened. */
export interface ProjectEvent {
	/** To go on after; ends of invocations have none: they are told to who watches, and kept in their records. */
	readonly id?: string;
	readonly at: string;
	readonly kind: EventKind;
	/** What became of it: `queued`; `ready`, `failed`; an outcome; `refused`; `joined`, `left`, `lost`. */
	readonly what: string;
	readonly function?: string;
	readonly version?: number;
	readonly hook?: string;
	readonly node?: string;
	/** What that node's machine calls itself; to the operator alone. */
	readonly host?: string;
	readonly invocation?: string;
	readonly attempt?: number;
	readonly runMs?: number;
	/** A code of the error catalogue, or in words. */
	readonly reason?: string;
}

/** `GET /v1/events`: the newest first. */
export interface EventList {
	readonly events: readonly ProjectEvent[];
}

/** Event `dropped` of a stream of events: ends of invocations that it had no room for. */
export interface EventsDropped {
	readonly events: number;
}

/** How many are kept of a project. */
export const EVENTS_KEPT = 1000;
