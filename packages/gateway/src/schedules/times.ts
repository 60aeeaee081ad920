import { createHash } from "node:crypto";
import { BerthError, SCHEDULE_LIMITS, type ScheduleConfig, type ScheduleTimes } from "@berth/contracts";
import { cronTimes, type Times, WrongCron } from "@berth/registry";

/** @throws BerthError invalid_request when there isn't exactly one way of saying when, or it never comes */
export function timesOf(config: ScheduleTimes): Times {
	const given = (["cron", "everyMs", "at"] as const).filter((field) => config[field] !== undefined);
	if (given.length !== 1) {
		const said = given.length === 0 ? "none of them is there" : `${given.join(" and ")} are there`;
		throw wrongField(given[1] ?? "cron", `a schedule has exactly one of cron, everyMs and at, and ${said}`);
	}
	return bounded(config, unbounded(config));
}

function unbounded({ cron, everyMs, at, timeZone, startAt, createdAt }: ScheduleTimes): Times {
	if (cron !== undefined) return timesOfCron(cron, timeZone);
	if (everyMs !== undefined) return everyTimes(everyMs, Date.parse(startAt ?? createdAt), startAt === undefined ? 1 : 0);
	const once = Date.parse(at as string);
	return {
		after: (ms) => (once > ms ? once : undefined),
		between: (from, until) => (once >= from && once <= until ? [once] : []),
	};
}

function timesOfCron(cron: string, timeZone: string): Times {
	try {
		return cronTimes(cron, timeZone);
	} catch (error) {
		throw error instanceof WrongCron ? wrongField("cron", error.message) : error;
	}
}

function bounded({ startAt, endAt }: ScheduleTimes, times: Times): Times {
	const first = startAt === undefined ? Number.NEGATIVE_INFINITY : Date.parse(startAt);
	const last = endAt === undefined ? Number.POSITIVE_INFINITY : Date.parse(endAt);
	return {
		after: (ms) => {
			const found = times.after(Math.max(ms, first - 1));
			return found !== undefined && found <= last ? found : undefined;
		},
		between: (from, until, most) => times.between(Math.max(from, first), Math.min(until, last), most),
	};
}

/** @param first 0: the anchor itself is one of them */
function everyTimes(everyMs: number, anchorMs: number, first: 0 | 1): Times {
	const after = (ms: number) => anchorMs + Math.max(first, Math.floor((ms - anchorMs) / everyMs) + 1) * everyMs;
	return {
		after,
		between: (from, until, most) => {
			const oldest = after(Math.max(from - 1, until - most * everyMs));
			return Array.from({ length: Math.max(0, Math.floor((until - oldest) / everyMs) + 1) }, (_, at) => oldest + at * everyMs);
		},
	};
}

/** The next times after a moment. */
export function nextTimes(times: Times, afterMs: number, most: number): readonly number[] {
	const found: number[] = [];
	for (let next = times.after(afterMs); next !== undefined && found.length < most; next = times.after(next)) found.push(next);
	return found;
}

/** How much later than it is due a firing fires: the same on every gateway, and before the next one is due, so that none is overtaken. */
export function jitterOf(config: ScheduleConfig, dueMs: number): number {
	const { function: target, name, jitterMs } = config;
	if (jitterMs === 0) return 0;
	const gapMs = (timesOf(config).after(dueMs) ?? Number.POSITIVE_INFINITY) - dueMs;
	return createHash("sha256").update(`${target}/${name} ${dueMs}`).digest().readUInt32BE() % Math.min(jitterMs + 1, gapMs);
}

/** What is done at a moment about a schedule that has become due. */
export interface Plan {
	readonly fire: readonly { readonly dueMs: number; readonly kind: "due" | "missed" }[];
	/** Those that are not made up for: how many (counted up to 100), and the last. */
	readonly missed: { readonly count: number; readonly lastMs: number } | undefined;
	readonly nextMs: number | undefined;
}

/** @param dueMs the first time that nothing was decided about. It has come, with its jitter. */
export function planOf(config: ScheduleConfig, dueMs: number, nowMs: number): Plan {
	const times = timesOf(config);
	const firesAt = (ms: number) => ms + jitterOf(config, ms);
	const most = SCHEDULE_LIMITS.waiting;
	// Mostly there is one: only of many are more looked for, to count those that aren't made up for.
	const some = times.between(dueMs, nowMs, most + 1);
	const come = some.length > most ? times.between(dueMs, nowMs, 2 * most + 1) : some;
	const found = come.filter((ms) => ms === dueMs || firesAt(ms) <= nowMs);
	// What it is due at is on record: it counts also where the clock, or the rules of its time zone, say something else by now.
	const known = found[0] === dueMs || found.length > 2 * most ? found : [dueMs, ...found];
	const all = known.slice(-most);
	const last = all.at(-1) as number;
	const isLate = (ms: number) => nowMs - firesAt(ms) > SCHEDULE_LIMITS.graceMs;
	const recent = all.findIndex((ms) => !isLate(ms));
	const inTime = recent < 0 ? [] : all.slice(recent);
	const chosen = config.missed === "all" ? all : config.missed === "one" && inTime.length === 0 ? [last] : inTime;
	const dropped = config.missed === "all" ? [] : known.slice(0, known.length - chosen.length);
	return {
		fire: chosen.map((ms) => ({ dueMs: ms, kind: isLate(ms) ? "missed" : "due" })),
		missed: dropped.length === 0 ? undefined : { count: Math.min(most, dropped.length), lastMs: dropped.at(-1) as number },
		nextMs: times.after(last),
	};
}

export function wrongField(field: string, message: string): BerthError {
	return new BerthError("invalid_request", `${field}: ${message}`, { issues: [{ field, message }] });
}
