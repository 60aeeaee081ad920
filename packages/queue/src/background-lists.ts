import { type InvocationRecord, type InvocationState, idStartOf, type Outcome } from "@berth/contracts";
import { LuaScript, type Redis, sharedNow } from "@berth/redis";
import { recordOf } from "./background-records.js";
import { KEEPING, KEPT, KEPT_DEAD } from "./kept-scripts.js";
import { backgroundRecordOf, deadLettersOf, functionListOf, LISTS, LISTS_SWEPT, projectListOf } from "./keys.js";

/** Records that one read of a list looks at, and at most for one page. */
const CHUNK = 200;
const LOOKED_AT = 2000;
/** Between two sweeps, by whichever process. */
const SWEEP_EVERY_S = 600;
const SWEPT_AT_ONCE = 500;
/** All fields that a summary needs: results, requests and attempts stay where they are. */
const SUMMARY = [
	"head",
	"state",
	"fence",
	"attempts",
	"startedAt",
	"nextAt",
	"settledAt",
	"outcome",
	"code",
	"dead",
	"cancelAskedAt",
	"replayedAs",
] as const;

/** Which background invocations of a project are meant. */
export interface Wanted {
	readonly project: string;
	readonly function?: string;
	readonly state?: InvocationState;
	readonly outcome?: Outcome;
	/** Dead letters alone. */
	readonly dead?: boolean;
	/** By when they were accepted, milliseconds: from `sinceMs`, before `untilMs`. */
	readonly sinceMs?: number;
	readonly untilMs?: number;
	/** Older than this one. */
	readonly before?: string;
}

/** Records, newest first, without attempts and results; `before` goes on, when there may be more. */
export interface Page {
	readonly records: readonly InvocationRecord[];
	readonly before?: string;
}

const FORGET = new LuaScript(`
	if redis.call("EXISTS", KEYS[1]) == 0 then redis.call("SREM", KEYS[2], KEYS[1]) end
`);

/** Records that have expired are counted no more, also where nothing is settled that would see to it. KEYS: a kind's projects. ARGV: how many at most. Gives how many. */
const EXPIRED = new LuaScript(`${KEEPING}
	local went, now = 0, nowMs()
	for _, project in ipairs(redis.call("ZRANGE", KEYS[1], 0, -1)) do
		while went < tonumber(ARGV[1]) and forgetOldest(KEYS[1], project, now) do went = went + 1 end
	end
	return went
`);

/** Ids of background invocations, sorted by time as ids are: for each project, each function, and a project's dead letters. */
export class BackgroundLists {
	readonly #redis: Redis;

	constructor(redis: Redis) {
		this.#redis = redis;
	}

	/** Looks at 2,000 records at most: a page may be short, and go on. */
	async page(wanted: Wanted, limit: number): Promise<Page> {
		const key = keyOf(wanted);
		const from = wanted.sinceMs === undefined ? "-" : `[${idStartOf("inv", wanted.sinceMs)}`;
		const until = wanted.untilMs === undefined ? "+" : `(${idStartOf("inv", wanted.untilMs)}`;
		const records: InvocationRecord[] = [];
		let before = wanted.before;
		for (let seen = 0; seen < LOOKED_AT; seen += CHUNK) {
			const newest = before === undefined || (until !== "+" && until < `(${before}`) ? until : `(${before}`;
			const ids = await this.#redis.zrevrangebylex(key, newest, from, "LIMIT", 0, CHUNK);
			for (const [at, record] of (await this.#summaries(ids)).entries()) {
				before = ids[at] as string;
				if (record === undefined || !isWanted(record, wanted)) continue;
				records.push(record);
				if (records.length === limit) return { records, before };
			}
			if (ids.length < CHUNK) return { records };
		}
		return { records, ...(before === undefined ? {} : { before }) };
	}

	/** How many dead letters a project has, about: those whose time is over are among them until they are swept. */
	async countDead(project: string): Promise<number> {
		return await this.#redis.zcard(deadLettersOf(project));
	}

	/** Takes ids whose records are gone off the lists, unless that was done within ten minutes. @param olderThanMs no record of a younger one can be gone */
	async sweep(olderThanMs: number): Promise<number> {
		if ((await this.#redis.set(LISTS_SWEPT, 1, "EX", SWEEP_EVERY_S, "NX")) === null) return 0;
		let swept = 0;
		for (const key of await this.#redis.smembers(LISTS)) {
			swept += await this.#sweepOne(key, `(${idStartOf("inv", sharedNow() - olderThanMs)}`);
			await FORGET.run(this.#redis, [key, LISTS], []);
		}
		for (const set of [KEPT, KEPT_DEAD]) {
			while ((await EXPIRED.run(this.#redis, [set], [SWEPT_AT_ONCE])) === SWEPT_AT_ONCE);
		}
		return swept;
	}

	async #sweepOne(key: string, until: string): Promise<number> {
		let swept = 0;
		for (let from = "-"; ; ) {
			const ids = await this.#redis.zrangebylex(key, from, until, "LIMIT", 0, SWEPT_AT_ONCE);
			const there = await Promise.all(ids.map((id) => this.#redis.exists(backgroundRecordOf(id))));
			const gone = ids.filter((_, at) => there[at] === 0);
			if (gone.length > 0) swept += await this.#redis.zrem(key, ...gone);
			if (ids.length < SWEPT_AT_ONCE) return swept;
			from = `(${ids.at(-1)}`;
		}
	}

	async #summaries(ids: readonly string[]): Promise<(InvocationRecord | undefined)[]> {
		const found = await Promise.all(ids.map((id) => this.#redis.hmget(backgroundRecordOf(id), ...SUMMARY)));
		return found.map((values) => {
			const entries = SUMMARY.map((field, at) => [field, values[at]] as const).filter(
				(entry): entry is [(typeof entry)[0], string] => entry[1] != null,
			);
			return recordOf(Object.fromEntries(entries));
		});
	}
}

function keyOf({ project, function: name, dead }: Wanted): string {
	if (dead === true) return deadLettersOf(project);
	return name === undefined ? projectListOf(project) : functionListOf(project, name);
}

function isWanted(record: InvocationRecord, { function: name, state, outcome }: Wanted): boolean {
	return (
		(name === undefined || record.function === name) &&
		(state === undefined || record.state === state) &&
		(outcome === undefined || record.background?.outcome === outcome)
	);
}
