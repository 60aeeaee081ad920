import {
	BerthError,
	type CheckedScheduleChanges,
	outcomeOf,
	SCHEDULE_LIMITS,
	type Schedule,
	type ScheduleConfig,
	type ScheduleList,
	type ScheduleRun,
	type ScheduleRunNow,
	scheduleChangesSchema,
	scheduleInputSchema,
} from "@berth/contracts";
import { sharedNow } from "@berth/queue";
import { functionNotFound, type OpenSchedule } from "@berth/registry";
import type { Request, Response } from "express";
import { sayAbout } from "../audit.js";
import { principalOf } from "../auth.js";
import { claimedId } from "../idempotency/idempotency.js";
import { parseJson } from "../json.js";
import { requireAlias } from "../known-alias.js";
import { nameFrom } from "../names.js";
import type { Services } from "../services.js";
import { validate } from "../validation.js";
import { fireSchedule } from "./firing.js";
import { jitterOf, nextTimes, timesOf, wrongField } from "./times.js";

/** A payload may be written with as many spaces as it has characters. */
const BODY_BYTES = 3 * SCHEDULE_LIMITS.payloadBytes;
const SUBJECT = { code: "invalid_request", whole: "body" } as const;
/** Times that are shown ahead. */
const AHEAD = 5;
/** What says when it fires: while none of it is changed, what is due stays due. */
const SAYS_WHEN = ["cron", "everyMs", "at", "timeZone", "startAt", "endAt", "enabled"] as const satisfies readonly (keyof ScheduleConfig)[];
/** A change is tried again when somebody else's, or a firing, came between: so often. */
const TRIES = 5;

/** `POST /v1/functions/{name}/schedules` */
export async function makeSchedule(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const target = nameFrom(request.params["name"]);
	const { name, startAt, endAt, ...input } = validate(scheduleInputSchema, await bodyOf(request, services), SUBJECT);
	const now = new Date();
	const config: ScheduleConfig = present({
		...input,
		name: name ?? (input.cron !== undefined ? "cron" : input.everyMs !== undefined ? "every" : "at"),
		function: target,
		startAt: startAt ?? undefined,
		endAt: endAt ?? undefined,
		createdAt: now.toISOString(),
		updatedAt: now.toISOString(),
	});
	const next = firstOf(config, now.getTime());
	await requireAlias(project, target, config.alias, services.functions);
	sayAbout(request, config.name);
	const open = await services.schedules.make(project, config, next);
	response
		.status(201)
		.location(`/v1/functions/${target}/schedules/${config.name}`)
		.json(await shown(open, services, 0));
}

/** `GET /v1/functions/{name}/schedules` */
export async function listSchedules(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const target = nameFrom(request.params["name"]);
	const list = await services.schedules.list(project, target);
	if (list.length === 0 && (await services.functions.getFunction(project, target)) === undefined) throw functionNotFound(target);
	response.json({ schedules: await Promise.all(list.map((each) => shown(each, services, 1))) } satisfies ScheduleList);
}

/** `GET /v1/functions/{name}/schedules/{schedule}` */
export async function getSchedule(request: Request, response: Response, services: Services): Promise<void> {
	response.json(await shown(await scheduleFrom(request, services), services, SCHEDULE_LIMITS.runs));
}

/** `PATCH /v1/functions/{name}/schedules/{schedule}` */
export async function changeSchedule(request: Request, response: Response, services: Services): Promise<void> {
	const found = await scheduleFrom(request, services);
	const changes = validate(scheduleChangesSchema, await bodyOf(request, services), SUBJECT);
	await requireAlias(found.project, found.config.function, changes.alias, services.functions);
	for (let tries = 0, open = found; tries < TRIES; tries++) {
		const nowMs = sharedNow();
		const config = changed(open.config, changes, new Date(nowMs).toISOString());
		const isWhenKept = SAYS_WHEN.every((field) => config[field] === open.config[field]);
		const next = firstOf(config, nowMs, isWhenKept ? open.dueMs : undefined);
		if (await services.schedules.replace(open, config, next)) {
			response.json(await shown({ ...open, config, dueMs: next?.dueMs }, services, SCHEDULE_LIMITS.runs));
			return;
		}
		open = await scheduleFrom(request, services);
	}
	throw new BerthError("unavailable", `${found.config.name} is being changed by others all the time; try again`);
}

/** `DELETE /v1/functions/{name}/schedules/{schedule}` */
export async function removeSchedule(request: Request, response: Response, services: Services): Promise<void> {
	await services.schedules.remove(await scheduleFrom(request, services));
	response.status(204).end();
}

/** `POST /v1/functions/{name}/schedules/{schedule}/run`: besides what it does by itself, whatever still runs. */
export async function runSchedule(request: Request, response: Response, services: Services): Promise<void> {
	const { schedules, metrics, log } = services;
	const open = await scheduleFrom(request, services);
	const nowMs = sharedNow();
	const at = new Date(nowMs).toISOString();
	const id = claimedId(response);
	const how = { acceptedAtMs: nowMs, ...(id === undefined ? {} : { id }) };
	const { id: invocation } = await fireSchedule(open, { ...how, firing: { dueAt: at, kind: "manual" } }, services);
	metrics.scheduled("fired");
	// It is accepted, whether its schedule's history has it or not.
	await schedules
		.note(open.id, { dueAt: at, at, result: "fired", kind: "manual", invocation })
		.catch((err: unknown) => log.warn({ err, invocation }, "a schedule's history lacks what was run by hand"));
	response
		.status(202)
		.location(`/v1/invocations/${invocation}`)
		.json({ invocation } satisfies ScheduleRunNow);
}

async function scheduleFrom(request: Request, { schedules }: Services): Promise<OpenSchedule> {
	const { project } = principalOf(request);
	return await schedules.need(project, nameFrom(request.params["name"]), nameFrom(request.params["schedule"], "schedule"));
}

/** A body of JSON; none is an object without fields. */
async function bodyOf(request: Request, { bodies }: Services): Promise<unknown> {
	const bytes = await bodies.read(request, BODY_BYTES);
	return bytes.length === 0 ? {} : parseJson(bytes, "the body");
}

/** One way of saying when takes the place of another. */
function changed(before: ScheduleConfig, { startAt, endAt, ...changes }: CheckedScheduleChanges, updatedAt: string): ScheduleConfig {
	const { cron, everyMs, at, ...rest } = before;
	const saysWhen = changes.cron !== undefined || changes.everyMs !== undefined || changes.at !== undefined;
	const ends = {
		startAt: startAt === undefined ? before.startAt : (startAt ?? undefined),
		endAt: endAt === undefined ? before.endAt : (endAt ?? undefined),
	};
	return present({ ...rest, ...(saysWhen ? {} : { cron, everyMs, at }), ...present(changes), ...ends, updatedAt });
}

/**
 * When it fires first from now on.
 * @param openMs what is due already and stays so: it may be over, and wait for its jitter, or to be made up for
 * @throws BerthError invalid_request when that is never, or what it says doesn't go together
 */
function firstOf(config: ScheduleConfig, nowMs: number, openMs?: number): { dueMs: number; firesAtMs: number } | undefined {
	const times = timesOf(config);
	const { startAt, endAt, at, missed, overlap, enabled } = config;
	if (startAt !== undefined && endAt !== undefined && Date.parse(endAt) < Date.parse(startAt))
		throw wrongField("endAt", `it is before startAt, ${startAt}`);
	if (missed === "all" && overlap !== "queue")
		throw wrongField(
			"missed",
			`all of them at once would overlap, and with overlap ${overlap} one of them would be left; say overlap queue, too, or missed one`,
		);
	if (!enabled) return undefined;
	const dueMs = openMs ?? times.after(nowMs);
	if (dueMs === undefined)
		throw at === undefined
			? wrongField("endAt", `it doesn't fire between now and ${endAt ?? "then"}`)
			: wrongField("at", `${at} is over, or not between startAt and endAt; it is ${new Date(nowMs).toISOString()} now`);
	return { dueMs, firesAtMs: dueMs + jitterOf(config, dueMs) };
}

async function shown({ id, config, dueMs, queued }: OpenSchedule, services: Services, most: number): Promise<Schedule> {
	const ahead = dueMs === undefined ? [] : [dueMs, ...nextTimes(timesOf(config), dueMs, AHEAD - 1)];
	const runs = most === 0 ? [] : await services.schedules.runs(id, most);
	return {
		...config,
		state: dueMs !== undefined ? "waiting" : config.enabled ? "ended" : "paused",
		next: ahead.map((ms) => new Date(ms).toISOString()),
		runs: await Promise.all(runs.map((run) => withOutcome(run, services))),
		queued,
	};
}

/** A run with what became of its invocation meanwhile. */
async function withOutcome(run: ScheduleRun, { invocations }: Services): Promise<ScheduleRun> {
	const record = run.invocation === undefined ? undefined : await invocations.record(run.invocation);
	if (record === undefined) return run;
	const outcome = outcomeOf(record);
	return { ...run, state: record.state, ...(outcome === undefined ? {} : { outcome }) };
}

type Present<T> = { [Name in keyof T as undefined extends T[Name] ? never : Name]: T[Name] } & {
	[Name in keyof T as undefined extends T[Name] ? Name : never]?: Exclude<T[Name], undefined>;
};

/** Without fields that have no value. */
function present<T extends object>(all: T): Present<T> {
	return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined)) as Present<T>;
}
