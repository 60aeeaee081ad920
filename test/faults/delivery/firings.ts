import { firingToken } from "./asking.js";
import type { Asked, History, Scheduled, ScheduledRun } from "./history.js";

/** What became of the time: nothing has failed, since there was a version all the while. */
const ENDS: ReadonlySet<string> = new Set(["fired", "skipped", "missed"]);

/** Each time of a schedule came to one end, of which its history says what it was; to an invocation, where all of them have to. */
export function wrongFirings({ schedules = [] }: History): readonly string[] {
	return schedules.flatMap(({ name, dueAt, firesAll, runs }) => {
		const all = runs.flatMap((run) => timesOf(run, dueAt));
		const wrong = dueAt.flatMap((time) => {
			const results = all.filter((one) => one.time === time).map(({ result }) => result);
			const isWell = results.length === 1 && (firesAll ? results[0] === "fired" : ENDS.has(results[0] as string));
			return isWell ? [] : [`${time} came to ${results.join(" and ") || "nothing"}`];
		});
		const strange = all.filter(({ time }) => !dueAt.includes(time)).map(({ time, result }) => `${time} wasn't due, and is ${result}`);
		return [...wrong, ...strange].map((what) => `schedule ${name}: ${what}`);
	});
}

/** The times that a run is about: of those that were missed the last is named, and how many there are. */
function timesOf(
	{ dueAt, result, count = 1 }: ScheduledRun,
	due: readonly string[],
): readonly { readonly time: string; readonly result: string }[] {
	const last = due.indexOf(dueAt);
	if (result !== "missed" || last < 0) return [{ time: dueAt, result }];
	return due.slice(Math.max(0, last + 1 - count), last + 1).map((time) => ({ time, result }));
}

/** Firings that became invocations, as if somebody had asked for each: they have to run, under the id that the history names alone. */
export function askedBy({ name, runs }: Pick<Scheduled, "name" | "runs">): readonly Asked[] {
	return runs.flatMap(({ dueAt, invocation: id }) =>
		id === undefined
			? []
			: [
					{
						token: firingToken(name, dueAt),
						lane: "background",
						deed: "succeed",
						told: { kind: "accepted", id },
						notBeforeMs: Date.parse(dueAt),
					},
				],
	);
}
