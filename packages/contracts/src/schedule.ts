import * as z from "zod";
import { ALIAS_RULE, isAliasName, LIVE } from "./alias.js";
import type { Outcome, ScheduleFiring } from "./invocation.js";
import type { InvocationState } from "./invocation-record.js";
import { resourceName } from "./resource-name.js";
import { DAY_MS, HOUR_MS, KIB, SECOND_MS } from "./units.js";

/** What schedules may ask for, and what is kept of them. */
export const SCHEDULE_LIMITS = {
	/** Schedules of one function. */
	schedules: 100,
	/** A payload as JSON. */
	payloadBytes: 64 * KIB,
	/** Firings that are made up for at once, and those of one schedule that may wait for their turn. */
	waiting: 100,
	/** Firings kept in a schedule's history. */
	runs: 20,
	everyMs: { min: SECOND_MS, max: 366 * DAY_MS },
	jitterMs: HOUR_MS,
	/** A firing later than that was missed. */
	graceMs: 60 * SECOND_MS,
} as const;

const TIME = "a time with its zone, as in 2026-11-30T02:30:00Z";
const ZONE = "a time zone of the IANA's, as in Europe/Berlin, or UTC";
const PAYLOAD = `at most ${SCHEDULE_LIMITS.payloadBytes} bytes of JSON`;
const time = z.iso.datetime({ offset: true, error: TIME });
const wholeNumber = (min: number, max: number) => {
	const rule = `a whole number of milliseconds from ${min} to ${max}`;
	return z.int(rule).min(min, rule).max(max, rule);
};

/** A time zone by its name. */
export const timeZoneSchema = z.string(ZONE).refine(isTimeZone, ZONE);

/** What of a schedule can be changed after it was made. */
const fields = {
	/** Five fields, or six with seconds first. One of `cron`, `everyMs` and `at`. */
	cron: z.string("a cron expression").max(200, "at most 200 characters"),
	/** Milliseconds from one firing to the next, counted from `startAt` (or the making). */
	everyMs: wholeNumber(SCHEDULE_LIMITS.everyMs.min, SCHEDULE_LIMITS.everyMs.max),
	/** Once, then. */
	at: time,
	/** Where `cron` counts. */
	timeZone: timeZoneSchema,
	/** The alias whose version it invokes. */
	alias: z.string(ALIAS_RULE).refine(isAliasName, ALIAS_RULE),
	/** What the function is given: any JSON. */
	payload: z.unknown().refine((value) => value === undefined || bytesOf(value) <= SCHEDULE_LIMITS.payloadBytes, PAYLOAD),
	/** What is done about firings that nobody was there for: nothing, the last of them, or all (the last 100). */
	missed: z.enum(["skip", "one", "all"], "skip, one or all"),
	/** What is done with a firing while the one before isn't over. */
	overlap: z.enum(["skip", "queue", "replace"], "skip, queue or replace"),
	/** Each firing is up to so much later than it is due, by chance that is the same on every gateway. */
	jitterMs: wholeNumber(0, SCHEDULE_LIMITS.jitterMs),
	enabled: z.boolean("true or false"),
	/** The first time that counts, and the last; both may be taken back with null. */
	startAt: time.nullable(),
	endAt: time.nullable(),
} as const;

/** `POST /v1/functions/{name}/schedules` */
export const scheduleInputSchema = z.strictObject({
	/** Unique among the function's; default: `cron`, `every` or `at`. */
	name: resourceName.optional(),
	cron: fields.cron.optional(),
	everyMs: fields.everyMs.optional(),
	at: fields.at.optional(),
	timeZone: fields.timeZone.default("UTC"),
	alias: fields.alias.default(LIVE),
	payload: fields.payload.optional(),
	missed: fields.missed.default("one"),
	overlap: fields.overlap.default("skip"),
	jitterMs: fields.jitterMs.default(0),
	enabled: fields.enabled.default(true),
	startAt: fields.startAt.optional(),
	endAt: fields.endAt.optional(),
});
export type ScheduleInput = z.input<typeof scheduleInputSchema>;
export type CheckedScheduleInput = z.output<typeof scheduleInputSchema>;

/** `PATCH /v1/functions/{name}/schedules/{schedule}`: what is named is changed; one way of saying when takes the place of another. */
export const scheduleChangesSchema = z.strictObject(fields).partial();
export type ScheduleChanges = z.input<typeof scheduleChangesSchema>;
export type CheckedScheduleChanges = z.output<typeof scheduleChangesSchema>;

/** When a schedule fires: exactly one of `cron`, `everyMs` and `at`. */
export interface ScheduleTimes {
	readonly cron?: string;
	readonly everyMs?: number;
	/** ISO 8601, as are the others. */
	readonly at?: string;
	readonly timeZone: string;
	readonly startAt?: string;
	readonly endAt?: string;
	/** What `everyMs` is counted from without a `startAt`. */
	readonly createdAt: string;
}

/** What a schedule is, as it was made or changed. */
export interface ScheduleConfig extends ScheduleTimes {
	readonly name: string;
	readonly function: string;
	readonly alias: string;
	readonly payload?: unknown;
	readonly missed: "skip" | "one" | "all";
	readonly overlap: "skip" | "queue" | "replace";
	readonly jitterMs: number;
	readonly enabled: boolean;
	readonly updatedAt: string;
}

/** What became of one firing, or of those that were missed. */
export interface ScheduleRun {
	/** ISO 8601: when it was due; of those that were missed the last, and of one by hand when it was asked for. */
	readonly dueAt: string;
	/** ISO 8601: when it was decided. */
	readonly at: string;
	/** `fired`: it is an invocation. `skipped`: the one before wasn't over. `missed`: nobody was there. `failed`: there was no version to invoke. */
	readonly result: "fired" | "skipped" | "missed" | "failed";
	readonly kind: ScheduleFiring["kind"];
	readonly invocation?: string;
	/** Why not. */
	readonly reason?: string;
	/** How many were missed; counted up to 100. */
	readonly count?: number;
	/** Of the invocation, as far as it is, while its record is kept. */
	readonly state?: InvocationState;
	readonly outcome?: Outcome;
}

/** A schedule, with what comes and what was. */
export interface Schedule extends ScheduleConfig {
	/** `waiting`: it will fire. `paused`: not until it is enabled. `ended`: no time is left. */
	readonly state: "waiting" | "paused" | "ended";
	/** ISO 8601: the next five times it is due, without jitter. */
	readonly next: readonly string[];
	/** The newest first: one in lists, else 20 at most. */
	readonly runs: readonly ScheduleRun[];
	/** Firings that wait for the one before. */
	readonly queued: number;
}

/** `GET /v1/functions/{name}/schedules` */
export interface ScheduleList {
	readonly schedules: readonly Schedule[];
}

/** `POST …/schedules/{schedule}/run`: 202 */
export interface ScheduleRunNow {
	readonly invocation: string;
}

function isTimeZone(text: string): boolean {
	// Offsets have no daylight saving, and aren't the IANA's.
	if (!/^[A-Za-z][A-Za-z0-9_+\-/]{0,63}$/.test(text)) return false;
	try {
		return new Intl.DateTimeFormat("en", { timeZone: text }).resolvedOptions().timeZone !== "";
	} catch {
		return false;
	}
}

function bytesOf(value: unknown): number {
	return new TextEncoder().encode(JSON.stringify(value)).byteLength;
}
