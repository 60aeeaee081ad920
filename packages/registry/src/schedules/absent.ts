import { BerthError } from "@berth/contracts";

/** The one sentence for a schedule that a function hasn't. */
export function scheduleNotFound(name: string, schedule: string): BerthError {
	return new BerthError(
		"schedule_not_found",
		`${name} has no schedule ${JSON.stringify(schedule)}; GET /v1/functions/${name}/schedules lists those there are`,
	);
}
