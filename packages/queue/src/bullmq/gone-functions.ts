import { LuaScript, type Redis, sharedNow } from "@berth/redis";
import { LANE } from "../keys.js";
import type { FunctionQueues } from "./function-queues.js";

/**
 * Everything that the lane has of a function, unless it is on record (again), of one moment. With jobs in its queue, or one that may
 * be on its way, it only gets their turn to come: they are settled as cancelled, and it goes when the last of them has gone.
 */
const FORGET = new LuaScript(`
	if redis.call("EXISTS", KEYS[1]) == 1 then return 0 end
	redis.call("SREM", KEYS[5], ARGV[1])
	if redis.call("EXISTS", KEYS[6], KEYS[7], KEYS[8]) > 0 or redis.call("ZSCORE", KEYS[3], ARGV[1]) then
		redis.call("HDEL", KEYS[9], "paused")
		redis.call("ZADD", KEYS[2], "LT", ARGV[2], ARGV[1])
		redis.call("PUBLISH", ARGV[3], ARGV[1])
		return 0
	end
	redis.call("DEL", unpack(KEYS, 6))
	redis.call("ZREM", KEYS[2], ARGV[1])
	redis.call("SREM", KEYS[4], ARGV[1])
	return 1
`);

/** Some of the functions that were ever added to, and of them those that aren't on record. */
const GONE = new LuaScript(`
	local cursor, names = unpack(redis.call("SSCAN", KEYS[1], ARGV[1], "COUNT", 200))
	local gone = {}
	for _, name in ipairs(names) do
		if redis.call("EXISTS", ARGV[2] .. name) == 0 then gone[#gone + 1] = name end
	end
	return { cursor, gone }
`);

/** Takes what is left of deleted functions out of the background lane. */
export class GoneFunctions {
	readonly #redis: Redis;
	readonly #queues: FunctionQueues;
	readonly #records: string;

	/** @param records what the keys begin with that say which functions there are; a function's key follows */
	constructor(redis: Redis, queues: FunctionQueues, records: string) {
		this.#redis = redis;
		this.#queues = queues;
		this.#records = records;
	}

	/** @returns whether nothing is left of it; false also when it is no deleted function */
	async forget(key: string): Promise<boolean> {
		const { wait, active, delayed, meta, ...others } = this.#queues.of(key).keys as Record<string, string>;
		const own = [wait, active, delayed, meta, ...Object.values(others)] as string[];
		const keys = [this.#records + key, LANE.index, LANE.marks, LANE.known, LANE.paused, ...own];
		return (await FORGET.run(this.#redis, keys, [key, sharedNow(), LANE.news])) === 1;
	}

	/** All that were deleted and had something left. @returns of how many nothing is left now */
	async sweep(): Promise<number> {
		let [cursor, forgotten] = ["0", 0];
		do {
			const [next, gone] = (await GONE.run(this.#redis, [LANE.known], [cursor, this.#records])) as [string, string[]];
			cursor = next;
			for (const key of gone) if (await this.forget(key)) forgotten++;
		} while (cursor !== "0");
		return forgotten;
	}
}
