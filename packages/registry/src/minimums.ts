import type { PoolChoice } from "@berth/contracts";
import { cronTimes, type Times, WrongCron } from "./schedules/cron.js";

/** How many sandboxes a function has ready at a moment, and until when that stays so, milliseconds since the epoch. */
export interface ReadyAt {
	readonly sandboxes: number;
	readonly untilMs: number;
}

/** Of windows that are open at the same time the largest counts. One whose times can't be read, as nobody deployed it here (its manifest came with an image), never opens. */
export function readyAt({ min = 0, windows = [] }: PoolChoice, nowMs: number): ReadyAt {
	let [sandboxes, untilMs] = [min, Number.POSITIVE_INFINITY];
	for (const { cron, timeZone = "UTC", forMs, min: inWindow } of windows) {
		const times = timesOf(cron, timeZone);
		if (times === undefined) continue;
		const [openedMs] = times.between(nowMs - forMs + 1, nowMs, 1);
		if (openedMs !== undefined) {
			sandboxes = Math.max(sandboxes, inWindow);
			untilMs = Math.min(untilMs, openedMs + forMs);
		}
		untilMs = Math.min(untilMs, times.after(nowMs) ?? untilMs);
	}
	return { sandboxes, untilMs };
}

function timesOf(cron: string, timeZone: string): Times | undefined {
	try {
		return cronTimes(cron, timeZone);
	} catch (error) {
		if (error instanceof WrongCron) return undefined;
		throw error;
	}
}
