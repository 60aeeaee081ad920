import type { Schedule, ScheduleRun } from "@berth/contracts";
import { pairsOf, tableOf } from "./table.js";
import { ageText, durationText } from "./units.js";

export function schedulesTable(schedules: readonly Schedule[], nowMs: number): string {
	return tableOf(schedules, [
		{ heading: "SCHEDULE", cell: (each) => each.name },
		{ heading: "WHEN", cell: whenText },
		{ heading: "NEXT", cell: (each) => (each.next[0] === undefined ? each.state : untilText(each.next[0], nowMs)) },
		{ heading: "LAST", cell: (each) => (each.runs[0] === undefined ? "-" : becomeOf(each.runs[0])) },
		{ heading: "INVOCATION", cell: (each) => each.runs[0]?.invocation ?? "-" },
	]);
}

/** A schedule, field by field, and its history below. */
export function scheduleText(schedule: Schedule): string {
	const { function: target, name, alias, missed, overlap, jitterMs, startAt, endAt, next, payload, runs, queued } = schedule;
	const pairs = pairsOf([
		["schedule", `${target}/${name}`],
		["invokes", `${target}@${alias}`],
		["when", whenText(schedule)],
		...(jitterMs === 0 ? [] : [["jitter", `up to ${durationText(jitterMs)}`] as const]),
		...(startAt === undefined ? [] : [["not before", startAt] as const]),
		...(endAt === undefined ? [] : [["not after", endAt] as const]),
		["missed", { skip: "nothing is made up for", one: "the last is made up for", all: "all are made up for" }[missed]],
		["overlap", { skip: "is skipped", queue: "waits", replace: "replaces the one before" }[overlap]],
		["payload", payload === undefined ? "none" : JSON.stringify(payload)],
		["state", queued === 0 ? schedule.state : `${schedule.state}, ${queued} wait for the one before`],
		["next", next.join("  ") || "-"],
	]);
	if (runs.length === 0) return pairs;
	const table = tableOf(runs, [
		{ heading: "DUE", cell: (each) => each.dueAt },
		{ heading: "RESULT", cell: becomeOf },
		{ heading: "INVOCATION", cell: (each) => each.invocation ?? each.reason ?? "-" },
	]);
	return `${pairs}\n\n${table}`;
}

function whenText({ cron, everyMs, at, timeZone }: Schedule): string {
	if (cron !== undefined) return `${cron} ${timeZone}`;
	return everyMs === undefined ? `once at ${at}` : `every ${ageText(everyMs)}`;
}

function untilText(iso: string, nowMs: number): string {
	const leftMs = Date.parse(iso) - nowMs;
	return leftMs <= 0 ? "now" : `in ${ageText(leftMs)}`;
}

function becomeOf({ result, kind, count, state, outcome }: ScheduleRun): string {
	if (result === "missed") return `missed, ${count}`;
	const more = outcome ?? (state === "settled" ? undefined : state);
	const how = kind === "due" || result !== "fired" ? result : `${result} (${kind})`;
	return more === undefined ? how : `${how}, ${more}`;
}
