import { LuaScript, type Redis } from "@berth/redis";
import { BACKGROUND_RECORDS, LANE, QUEUE_PREFIX, SHARED_BACKGROUND_QUEUE } from "../keys.js";
import { elapsedMs } from "../settlements.js";

/** Functions that are looked at in one go: nobody waits for the script for longer than a few milliseconds. */
const PAGE = 500;

/** What functions of the index have in their queues, and since when the one that is next could have run; a paused one has no next. */
const PAGE_OF = new LuaScript(`
	local found = {}
	for _, name in ipairs(redis.call("ZRANGE", KEYS[1], ARGV[1], ARGV[2])) do
		local prefix = name == ARGV[4] and ARGV[3] .. name .. ":" or ARGV[3] .. "b-" .. name .. ":"
		local waiting, since = redis.call("LLEN", prefix .. "wait"), ""
		if waiting > 0 and redis.call("HEXISTS", prefix .. "meta", "paused") == 0 then
			local id = redis.call("LINDEX", prefix .. "wait", -1)
			since = redis.call("HGET", ARGV[5] .. id, "queuedAt") or redis.call("HGET", prefix .. id, "timestamp") or ""
		end
		found[#found + 1] = { name, waiting, redis.call("ZCARD", prefix .. "delayed"), redis.call("LLEN", prefix .. "active"), since }
	end
	return found
`);

/** Jobs of one function, or of several. */
export interface QueuedJobs {
	/** Ready to run. */
	readonly waiting: number;
	/** For later, or to be tried again. */
	readonly delayed: number;
	readonly active: number;
	/** How long the one that is next could have run already, milliseconds; 0 while nothing waits, or it is paused. */
	readonly oldestMs: number;
}
export interface FunctionBacklog extends QueuedJobs {
	readonly project: string;
	readonly function: string;
}
export interface LaneBacklogs {
	/** Functions of which something waits, the longest first. */
	readonly longest: readonly FunctionBacklog[];
	/** All others with anything in their queues, together. */
	readonly others: QueuedJobs;
}

/** Reads what each function has queued in the background. @param most how many are told one by one */
export async function readBacklogs(redis: Redis, most: number): Promise<LaneBacklogs> {
	// Functions change places between two pages: the later look counts.
	const byKey = new Map<string, QueuedJobs>();
	for (let from = 0, size = PAGE; size === PAGE; from += PAGE) {
		const args = [from, from + PAGE - 1, `${QUEUE_PREFIX}:`, SHARED_BACKGROUND_QUEUE, BACKGROUND_RECORDS];
		const page = (await PAGE_OF.run(redis, [LANE.index], args)) as [string, number, number, number, string][];
		for (const [key, waiting, delayed, active, since] of page)
			byKey.set(key, { waiting, delayed, active, oldestMs: since === "" ? 0 : elapsedMs(Number(since)) });
		size = page.length;
	}
	const ranked = [...byKey].sort(([, a], [, b]) => b.oldestMs - a.oldestMs);
	const isOne = ([key, { oldestMs }]: (typeof ranked)[number]) => oldestMs > 0 && key !== SHARED_BACKGROUND_QUEUE;
	const longest = ranked.filter(isOne).slice(0, most);
	const told = new Set(longest.map(([key]) => key));
	return {
		longest: longest.map(([key, jobs]) => {
			const [project = "", name = ""] = key.split("/");
			return { project, function: name, ...jobs };
		}),
		others: ranked.filter(([key]) => !told.has(key)).reduce((sum, [, jobs]) => sumOf(sum, jobs), NONE),
	};
}

const NONE: QueuedJobs = { waiting: 0, delayed: 0, active: 0, oldestMs: 0 };

function sumOf(a: QueuedJobs, b: QueuedJobs): QueuedJobs {
	return {
		waiting: a.waiting + b.waiting,
		delayed: a.delayed + b.delayed,
		active: a.active + b.active,
		oldestMs: Math.max(a.oldestMs, b.oldestMs),
	};
}
