import { randomBytes } from "node:crypto";
import { BerthError, SCHEDULE_LIMITS, type ScheduleConfig, type ScheduleRun } from "@berth/contracts";
import { type ConnectionLog, closeRedis, guarded, openRedis, type Redis } from "@berth/redis";
import { functionNotFound } from "../absent.js";
import { keys } from "../keys.js";
import { scheduleNotFound } from "./absent.js";
import { CHANGE_SCHEDULE, CLAIM, END_CLAIM, LET_GO, LOOK, MAKE_SCHEDULE, NOTE_RUN, REMOVE_SCHEDULE, TAKE } from "./schedule-scripts.js";

/** A schedule as it is stored. */
export interface OpenSchedule {
	readonly id: string;
	readonly project: string;
	readonly config: ScheduleConfig;
	/** The next time it is due, milliseconds since the epoch; undefined: never, as far as is known now. */
	readonly dueMs: number | undefined;
	/** Firings that aren't invocations yet. */
	readonly queued: number;
	/** The config as it is stored: what a change is held against. */
	readonly stored: string;
}

/** A time that became a firing: the same for whoever looks at it. */
export interface ScheduleClaim {
	readonly dueMs: number;
	readonly invocation: string;
	readonly kind: "due" | "missed";
}

/** When a schedule is due next, and when it fires then. */
export interface NextFiring {
	readonly dueMs: number;
	readonly firesAtMs: number;
}

/** What a look at the clock finds. */
export interface Look {
	readonly nowMs: number;
	/** When there is something to do again; undefined: nothing is planned. */
	readonly nextMs: number | undefined;
	readonly due: readonly string[];
	/** Those with claims that nobody works at. */
	readonly open: readonly string[];
}

/** Claims in the hands of one who may work at them for a while. */
export interface TakenClaims {
	readonly id: string;
	readonly holder: string;
	readonly project: string;
	readonly config: ScheduleConfig;
	/** The invocation of the firing before. */
	readonly last: string | undefined;
	readonly claims: readonly ScheduleClaim[];
}

interface Stored extends ScheduleConfig {
	readonly project: string;
}

/** Schedules in the durable Redis, and who fires what of them. All methods throw BerthError `unavailable` while it is away. */
export class Schedules {
	readonly #redis: Redis;

	private constructor(redis: Redis) {
		this.#redis = redis;
	}

	/** @param url the durable Redis. @throws Error when it can't be reached */
	static async open(url: string, log?: ConnectionLog): Promise<Schedules> {
		const [redis] = await openRedis([{ url, use: "command", name: "schedules", log }]);
		return new Schedules(redis);
	}

	/** @throws BerthError function_not_found, schedule_exists, invalid_request when the function has as many as it may */
	async make(project: string, config: ScheduleConfig, next: NextFiring | undefined): Promise<OpenSchedule> {
		const id = randomBytes(10).toString("hex");
		const { name, function: target } = config;
		const stored = JSON.stringify({ ...config, project } satisfies Stored);
		const word = await this.#do("making a schedule", () =>
			MAKE_SCHEDULE.run(
				this.#redis,
				[keys.function(project, target), keys.schedules(project, target), keys.schedule(id), keys.dueSchedules],
				[id, name, stored, ...placeOf(next)],
			),
		);
		if (word === "no_function") throw functionNotFound(target);
		if (word === "exists")
			throw new BerthError("schedule_exists", `${target} has a schedule ${name} already; give this one another name, or change that one`);
		if (word === "full")
			throw new BerthError("invalid_request", `${target} has ${SCHEDULE_LIMITS.schedules} schedules, and no more are possible`);
		return { id, project, config, dueMs: next?.dueMs, queued: 0, stored };
	}

	/** By name; none also of a function that isn't there. */
	async list(project: string, name: string): Promise<readonly OpenSchedule[]> {
		const ids = await this.#do("listing schedules", () => this.#redis.hgetall(keys.schedules(project, name)));
		const found = await Promise.all(Object.values(ids).map((id) => this.find(id)));
		return found.filter((one) => one !== undefined).sort((a, b) => (a.config.name < b.config.name ? -1 : 1));
	}

	/** @throws BerthError schedule_not_found */
	async need(project: string, name: string, schedule: string): Promise<OpenSchedule> {
		const id = await this.#do("looking for a schedule", () => this.#redis.hget(keys.schedules(project, name), schedule));
		const found = id === null ? undefined : await this.find(id);
		if (found === undefined) throw scheduleNotFound(name, schedule);
		return found;
	}

	async find(id: string): Promise<OpenSchedule | undefined> {
		const [[stored, due], queued] = await this.#do("looking for a schedule", () =>
			Promise.all([this.#redis.hmget(keys.schedule(id), "config", "due"), this.#redis.llen(keys.scheduleClaims(id))]),
		);
		if (!stored) return undefined;
		return { id, ...openConfig(stored), dueMs: due ? Number(due) : undefined, queued, stored };
	}

	/** Puts a config in the place of the one that was read. False when it is another one meanwhile, or has fired. @throws BerthError schedule_not_found */
	async replace(
		{ id, project, config: before, stored, dueMs }: OpenSchedule,
		config: ScheduleConfig,
		next: NextFiring | undefined,
	): Promise<boolean> {
		const json = JSON.stringify({ ...config, project } satisfies Stored);
		const done = await this.#do("changing a schedule", () =>
			CHANGE_SCHEDULE.run(this.#redis, [keys.schedule(id), keys.dueSchedules], [id, stored, json, ...placeOf(next), dueMs ?? ""]),
		);
		if (done === 1) return true;
		if ((await this.find(id)) === undefined) throw scheduleNotFound(before.function, before.name);
		return false;
	}

	/** With its history; what waits for its turn isn't run. @throws BerthError schedule_not_found */
	async remove({ id, project, config }: OpenSchedule): Promise<void> {
		const { function: target, name } = config;
		const found = [keys.schedules(project, target), keys.schedule(id), keys.scheduleClaims(id), keys.scheduleRuns(id)];
		const done = await this.#do("removing a schedule", () =>
			REMOVE_SCHEDULE.run(this.#redis, [...found, keys.dueSchedules, keys.openSchedules], [id, name]),
		);
		if (done !== 1) throw scheduleNotFound(target, name);
	}

	/** The newest first. */
	async runs(id: string, most: number): Promise<readonly ScheduleRun[]> {
		const found = await this.#do("reading a schedule's history", () => this.#redis.lrange(keys.scheduleRuns(id), 0, most - 1));
		return found.map((text) => JSON.parse(text) as ScheduleRun);
	}

	async note(id: string, run: ScheduleRun): Promise<void> {
		await this.#do("writing a schedule's history", () =>
			NOTE_RUN.run(this.#redis, [keys.schedule(id), keys.scheduleRuns(id)], [JSON.stringify(run)]),
		);
	}

	/** @param nowMs default: the time of the durable Redis, which is the same for every gateway */
	async look(most: number, nowMs?: number): Promise<Look> {
		const [now, next, count, ...ids] = (await this.#do("looking at schedules", () =>
			LOOK.run(this.#redis, [keys.dueSchedules, keys.openSchedules], [nowMs ?? "", most]),
		)) as [string, string, number, ...string[]];
		return { nowMs: Number(now), nextMs: next === "" ? undefined : Number(next), due: ids.slice(0, count), open: ids.slice(count) };
	}

	/**
	 * Makes times firings, unless somebody else did, or changed the schedule. What was claimed is on disk, and found again by whoever looks.
	 * @returns undefined when somebody was first, else how many claims there was no room for
	 */
	async claim(
		{ id, dueMs, stored }: OpenSchedule,
		claims: readonly ScheduleClaim[],
		next: NextFiring | undefined,
		missed: ScheduleRun | undefined,
		nowMs: number,
	): Promise<number | undefined> {
		const found = [keys.schedule(id), keys.scheduleClaims(id), keys.scheduleRuns(id), keys.dueSchedules, keys.openSchedules];
		const args = [id, dueMs ?? "", stored, ...placeOf(next), nowMs, missed === undefined ? "" : JSON.stringify(missed)];
		const dropped = (await this.#do("claiming a schedule's firing", () =>
			CLAIM.run(this.#redis, found, [...args, ...claims.map(claimText)]),
		)) as number;
		return dropped < 0 ? undefined : dropped;
	}

	/** The claims of a schedule, if nobody works at them, for `forMs`. */
	async take(id: string, nowMs: number, forMs: number): Promise<TakenClaims | undefined> {
		const holder = randomBytes(10).toString("hex");
		const [stored, last, ...claims] = (await this.#do("taking a schedule's claims", () =>
			TAKE.run(this.#redis, [keys.schedule(id), keys.scheduleClaims(id), keys.openSchedules], [id, nowMs, nowMs + forMs, holder]),
		)) as string[];
		if (stored === undefined) return undefined;
		const parsed = claims.map((text) => JSON.parse(text) as ScheduleClaim);
		return { id, holder, ...openConfig(stored), last: last === "" ? undefined : last, claims: parsed };
	}

	/** The first claim is over. False when it isn't this holder's any more. @param invocation what it became, if anything */
	async end({ id, holder }: TakenClaims, claim: ScheduleClaim, run: ScheduleRun, invocation?: string): Promise<boolean> {
		const found = [keys.schedule(id), keys.scheduleClaims(id), keys.scheduleRuns(id)];
		const done = await this.#do("ending a schedule's claim", () =>
			END_CLAIM.run(this.#redis, found, [holder, claimText(claim), JSON.stringify(run), invocation ?? ""]),
		);
		return done === 1;
	}

	/** Lets others take what is left, from then on. */
	async letGo({ id, holder }: TakenClaims, atMs: number): Promise<void> {
		await this.#do("letting go of a schedule's claims", () =>
			LET_GO.run(this.#redis, [keys.schedule(id), keys.scheduleClaims(id), keys.openSchedules], [id, holder, atMs]),
		);
	}

	async close(): Promise<void> {
		await closeRedis(this.#redis);
	}

	#do<T>(what: string, commands: () => Promise<T>): Promise<T> {
		return guarded(this.#redis, what, commands);
	}
}

function placeOf(next: NextFiring | undefined): [number | string, number | string] {
	return next === undefined ? ["", ""] : [next.dueMs, next.firesAtMs];
}

function openConfig(stored: string): { readonly project: string; readonly config: ScheduleConfig } {
	const { project, ...config } = JSON.parse(stored) as Stored;
	return { project, config };
}

/** Always the same text for the same claim: it is compared. */
function claimText({ dueMs, invocation, kind }: ScheduleClaim): string {
	return JSON.stringify({ dueMs, invocation, kind });
}
