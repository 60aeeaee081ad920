import type { Schedule } from "@berth/contracts";
import { scheduleText } from "../../render/schedules.js";
import type { Session } from "../../session.js";

/** A schedule as it is now. */
export function showSchedule({ terminal, json }: Session, schedule: Schedule): void {
	if (json) terminal.json(schedule);
	else terminal.print(scheduleText(schedule));
}
