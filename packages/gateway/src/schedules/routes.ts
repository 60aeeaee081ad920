import { scheduleChangesSchema, scheduleInputSchema } from "@berth/contracts";
import type { Route } from "../route.js";
import { changeSchedule, getSchedule, listSchedules, makeSchedule, removeSchedule, runSchedule } from "./schedule-api.js";

const SCHEDULES = "/v1/functions/{name}/schedules";
const SCHEDULE = `${SCHEDULES}/{schedule}`;

/** Where schedules are looked after. */
export const SCHEDULE_ROUTES: readonly Route[] = [
	{
		method: "post",
		path: SCHEDULES,
		summary: "Make a schedule: by a cron expression, every so often, or once",
		scope: "deploy",
		body: scheduleInputSchema,
		answers: { 201: "Schedule" },
		serve: makeSchedule,
	},
	{
		method: "get",
		path: SCHEDULES,
		summary: "Its schedules, with the times they are due next and what became of the last",
		scope: "read",
		answers: { 200: "ScheduleList" },
		serve: listSchedules,
	},
	{
		method: "get",
		path: SCHEDULE,
		summary: "One schedule, with what became of its last 20 firings",
		scope: "read",
		answers: { 200: "Schedule" },
		serve: getSchedule,
	},
	{
		method: "patch",
		path: SCHEDULE,
		summary: "Change what is named of a schedule; `enabled` pauses and resumes it",
		scope: "deploy",
		body: scheduleChangesSchema,
		answers: { 200: "The schedule as it is now" },
		serve: changeSchedule,
	},
	{
		method: "delete",
		path: SCHEDULE,
		summary: "Remove a schedule; what waits for its turn isn't run",
		scope: "deploy",
		answers: { 204: "Gone" },
		serve: removeSchedule,
	},
	{
		method: "post",
		path: `${SCHEDULE}/run`,
		summary: "Run it now, besides what it does by itself",
		scope: "invoke",
		answers: { 202: "ScheduleRunNow + `Location`" },
		serve: runSchedule,
	},
];
