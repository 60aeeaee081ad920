import type { Backlog } from "@berth/contracts";
import { LuaScript, type Redis, sharedNow } from "@berth/redis";
import { functionQueueOf, LANE, QUEUE_PREFIX, SHARED_BACKGROUND_QUEUE } from "../keys.js";
import type { HeldUp } from "../ports.js";
import { STALLED_CHECK_MS } from "./leases.js";

/** So long an empty queue may be about to get the job that it was marked for, milliseconds: longer than any command of a gateway's takes. */
const MARKED_MS = 3000;
/** When a function that holds all it may is looked at again: another node may have ended a run of it. */
const MAXED_MS = 1000;
/** A paused function without anything in hand isn't looked at until it is resumed. */
const NEVER_MS = 9e15;

const MARK = new LuaScript(`
	redis.call("ZADD", KEYS[2], "GT", ARGV[2], ARGV[1])
	redis.call("SADD", KEYS[3], ARGV[1])
	redis.call("ZADD", KEYS[1], "LT", ARGV[3], ARGV[1])
`);

/** What there is in a function's queue, and from that when it is to be looked at next. It leaves the index only when it is empty. */
const LOOK_FUNCTION = `
local function look(index, marks, name, prefix, now)
	local meta = redis.call("HMGET", prefix .. "meta", "paused", "concurrency", "max")
	local waiting, active = redis.call("LLEN", prefix .. "wait"), redis.call("LLEN", prefix .. "active")
	local first = redis.call("ZRANGE", prefix .. "delayed", 0, 0, "WITHSCORES")
	if waiting == 0 and active == 0 and not first[1] then
		local marked = redis.call("ZSCORE", marks, name)
		if marked and tonumber(marked) > now - ${MARKED_MS} then
			redis.call("ZADD", index, tonumber(marked) + ${MARKED_MS}, name)
		else
			redis.call("ZREM", index, name)
			redis.call("ZREM", marks, name)
		end
		return 0
	end
	local next, ready, earliest = ${NEVER_MS}, 0, 0
	if meta[2] and active >= tonumber(meta[2]) then earliest = now + ${MAXED_MS} end
	if meta[3] and tonumber(meta[3]) <= tonumber(redis.call("GET", prefix .. "limiter") or 0) then
		earliest = math.max(earliest, now + math.max(1, redis.call("PTTL", prefix .. "limiter")))
	end
	if not meta[1] then
		if waiting > 0 then
			next = tonumber(redis.call("HGET", prefix .. redis.call("LINDEX", prefix .. "wait", -1), "timestamp")) or now
			next = math.max(earliest, math.min(now, next))
			if earliest == 0 then ready = waiting end
			if meta[2] then ready = math.min(ready, tonumber(meta[2]) - active) end
		end
		if first[1] then
			local due = math.floor(tonumber(first[2]) / 4096)
			next = math.min(next, math.max(earliest, due))
			if earliest == 0 and due <= now then ready = ready + 1 end
		end
	end
	if active > 0 then next = math.min(next, now + ${STALLED_CHECK_MS}) end
	redis.call("ZADD", index, next, name)
	return ready
end
`;

const LOOK = new LuaScript(`${LOOK_FUNCTION}
	return look(KEYS[1], KEYS[2], ARGV[1], ARGV[2], tonumber(ARGV[3]))
`);

/** What is accepted waits, and BullMQ's script that takes a job gives none. */
const PAUSE = new LuaScript(`
	redis.call("HSET", KEYS[1], "paused", 1)
	redis.call("SADD", KEYS[2], ARGV[1])
	redis.call("SADD", KEYS[3], ARGV[1])
`);

const RESUME = new LuaScript(`
	redis.call("HDEL", KEYS[1], "paused")
	redis.call("SREM", KEYS[2], ARGV[1])
	redis.call("ZADD", KEYS[3], "XX", "LT", ARGV[2], ARGV[1])
	redis.call("PUBLISH", ARGV[3], ARGV[1])
`);

/** Functions with something in hand, or whose hands are to be looked for: those that aren't are never due so soon. */
const BUSY = new LuaScript(`
	local busy = {}
	for _, name in ipairs(redis.call("ZRANGE", KEYS[1], "-inf", ARGV[1], "BYSCORE")) do
		local prefix = name == ARGV[3] and ARGV[2] .. name .. ":" or ARGV[2] .. "b-" .. name .. ":"
		if redis.call("EXISTS", prefix .. "active", prefix .. "stalled") > 0 then busy[#busy + 1] = name end
	end
	return busy
`);

/** Jobs of all functions in the index: waiting, delayed and active. With the totals that they have to add up to, of one moment. */
const COUNT = new LuaScript(`
	local waiting, delayed, active = 0, 0, 0
	for _, name in ipairs(redis.call("ZRANGE", KEYS[1], 0, -1)) do
		local prefix = name == ARGV[2] and ARGV[1] .. name .. ":" or ARGV[1] .. "b-" .. name .. ":"
		waiting = waiting + redis.call("LLEN", prefix .. "wait")
		delayed = delayed + redis.call("ZCARD", prefix .. "delayed")
		active = active + redis.call("LLEN", prefix .. "active")
	end
	local totals = redis.call("HMGET", KEYS[2], "accepted", "settled", "dead")
	return { waiting, delayed, active, totals[1] or 0, totals[2] or 0, totals[3] or 0 }
`);

/** Jobs in the queues of all functions. */
export interface LaneCounts {
	readonly waiting: number;
	readonly delayed: number;
	readonly active: number;
	/** What the records say was accepted, settled and given up. */
	readonly totals: readonly [accepted: number, settled: number, dead: number];
}

/** The functions that are due, and when the next one is. */
export interface Due {
	readonly keys: readonly string[];
	readonly nextMs: number | undefined;
}

/**
 * Which functions have background work, and when each is to be looked at: never later than there is something to do.
 * A function is put in before its job is, and taken out by the script that finds its queue empty, so that one with
 * jobs is always in it, whoever dies when.
 */
export class LaneIndex {
	readonly #redis: Redis;

	constructor(redis: Redis) {
		this.#redis = redis;
	}

	/** A job is about to be added. @param dueMs when it may be run */
	async mark(key: string, nowMs: number, dueMs: number): Promise<void> {
		await MARK.run(this.#redis, [LANE.index, LANE.marks, LANE.known], [key, nowMs, dueMs]);
	}

	/** A function is to be looked at by then. */
	async dueBy(key: string, dueMs: number): Promise<void> {
		await this.#redis.zadd(LANE.index, "LT", dueMs, key);
	}

	/** Jobs of a function that could be taken now. */
	async look(key: string): Promise<number> {
		return (await LOOK.run(this.#redis, [LANE.index, LANE.marks], [key, prefixOf(key), sharedNow()])) as number;
	}

	async due(): Promise<Due> {
		const now = sharedNow();
		const [keys, [, next]] = await Promise.all([
			this.#redis.zrange(LANE.index, "-inf", `${now}`, "BYSCORE"),
			this.#redis.zrange(LANE.index, `(${now}`, "+inf", "BYSCORE", "LIMIT", 0, 1, "WITHSCORES"),
		]);
		return { keys, nextMs: next === undefined ? undefined : Number(next) };
	}

	/** Functions that have been due for so long. */
	async overdue(forMs: number): Promise<string[]> {
		return await this.#redis.zrange(LANE.index, "-inf", `${sharedNow() - forMs}`, "BYSCORE");
	}

	/** Functions with something in hand. */
	async busy(): Promise<string[]> {
		const until = sharedNow() + STALLED_CHECK_MS;
		return (await BUSY.run(this.#redis, [LANE.index], [until, `${QUEUE_PREFIX}:`, SHARED_BACKGROUND_QUEUE])) as string[];
	}

	/** @param totals the key that they are under */
	async count(totals: string): Promise<LaneCounts> {
		const args = [`${QUEUE_PREFIX}:`, SHARED_BACKGROUND_QUEUE];
		const found = (await COUNT.run(this.#redis, [LANE.index, totals], args)) as (string | number)[];
		const [waiting = 0, delayed = 0, active = 0, accepted = 0, settled = 0, dead = 0] = found.map(Number);
		return { waiting, delayed, active, totals: [accepted, settled, dead] };
	}

	/** Accepted work of a function waits until `resume`, whatever happens to gateways and workers. */
	async pause(key: string): Promise<void> {
		await PAUSE.run(this.#redis, [`${prefixOf(key)}meta`, LANE.paused, LANE.known], [key]);
	}

	async resume(key: string): Promise<void> {
		await RESUME.run(this.#redis, [`${prefixOf(key)}meta`, LANE.paused, LANE.index], [key, sharedNow(), LANE.news]);
	}

	/** The keys of functions that are paused. */
	async paused(): Promise<string[]> {
		return await this.#redis.smembers(LANE.paused);
	}

	async backlog(key: string): Promise<Backlog> {
		const prefix = prefixOf(key);
		const [paused, waiting, delayed, running] = await Promise.all([
			this.#redis.hexists(`${prefix}meta`, "paused"),
			this.#redis.llen(`${prefix}wait`),
			this.#redis.zcard(`${prefix}delayed`),
			this.#redis.llen(`${prefix}active`),
		]);
		return { paused: paused === 1, waiting, delayed, running };
	}

	/** What of its own keeps a function's next job from being taken now. */
	async heldUp(key: string): Promise<HeldUp> {
		const prefix = prefixOf(key);
		const [[paused, concurrency, rate], running, begun, freeInMs] = await Promise.all([
			this.#redis.hmget(`${prefix}meta`, "paused", "concurrency", "max"),
			this.#redis.llen(`${prefix}active`),
			this.#redis.get(`${prefix}limiter`),
			this.#redis.pttl(`${prefix}limiter`),
		]);
		const isFull = typeof concurrency === "string" && running >= Number(concurrency);
		const isUsedUp = typeof rate === "string" && Number(begun ?? 0) >= Number(rate) && freeInMs > 0;
		return {
			paused: typeof paused === "string",
			...(isFull ? { concurrency: Number(concurrency) } : {}),
			...(isUsedUp ? { rate: { limit: Number(rate), freeInMs } } : {}),
		};
	}

	/** Since when the function that waits longest has had something to run, milliseconds since the epoch. */
	async oldest(): Promise<number | undefined> {
		const [, since] = await this.#redis.zrange(LANE.index, "0", "0", "WITHSCORES");
		return since === undefined || Number(since) > sharedNow() ? undefined : Number(since);
	}

	/** Looks at every function of which there is something: one that isn't in the index though it has work is put back. */
	async rescan(): Promise<void> {
		await this.look(SHARED_BACKGROUND_QUEUE);
		let cursor = "0";
		do {
			const [next, keys] = await this.#redis.sscan(LANE.known, cursor, "COUNT", 200);
			cursor = next;
			await Promise.all(keys.map((key) => this.look(key)));
		} while (cursor !== "0");
	}
}

function prefixOf(key: string): string {
	return `${QUEUE_PREFIX}:${functionQueueOf(key)}:`;
}
