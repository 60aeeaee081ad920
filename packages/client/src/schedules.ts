import type { Schedule, ScheduleChanges, ScheduleInput, ScheduleList, ScheduleRunNow } from "@berth/contracts";
import type { Transport } from "./transport.js";

const JSON_TYPE = { "content-type": "application/json" };
const pathOf = (name: string) => `/v1/functions/${encodeURIComponent(name)}/schedules`;
const schedulePath = (name: string, schedule: string) => `${pathOf(name)}/${encodeURIComponent(schedule)}`;

/** Schedules of functions. */
export function schedulesOf(transport: Transport) {
	return {
		/** @throws ApiError `function_not_found`, `schedule_exists`, `invalid_request` */
		makeSchedule: (name: string, input: ScheduleInput): Promise<Schedule> =>
			transport.json({ method: "POST", path: pathOf(name), headers: JSON_TYPE, body: JSON.stringify(input) }),

		/** By name, each with its newest run. @throws ApiError `function_not_found` */
		async schedules(name: string): Promise<readonly Schedule[]> {
			return (await transport.json<ScheduleList>({ method: "GET", path: pathOf(name) })).schedules;
		},

		/** With its last runs. @throws ApiError `schedule_not_found` */
		schedule: (name: string, schedule: string): Promise<Schedule> => transport.json({ method: "GET", path: schedulePath(name, schedule) }),

		/** Changes what is named; `enabled` pauses and resumes. @throws ApiError `schedule_not_found`, `invalid_request` */
		changeSchedule: (name: string, schedule: string, changes: ScheduleChanges): Promise<Schedule> =>
			transport.json({ method: "PATCH", path: schedulePath(name, schedule), headers: JSON_TYPE, body: JSON.stringify(changes) }),

		/** Besides what it does by itself. @throws ApiError `schedule_not_found`, and as an invocation */
		runSchedule: (name: string, schedule: string): Promise<ScheduleRunNow> =>
			transport.json({ method: "POST", path: `${schedulePath(name, schedule)}/run` }),

		/** With its history. @throws ApiError `schedule_not_found` */
		async removeSchedule(name: string, schedule: string): Promise<void> {
			await transport.json({ method: "DELETE", path: schedulePath(name, schedule) });
		},
	};
}
