import { LuaScript, type Redis } from "@berth/redis";

/** Also while memory is short: nothing starts without what is kept so. */
const PUT_ONCE = new LuaScript(`#!lua flags=allow-oom
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'GET') or ARGV[1]`);

/** Has a key hold a value unless it holds one; nothing is written then, so that this succeeds while no writes are taken. @returns what it holds */
export async function putOnce(redis: Redis, key: string, value: string): Promise<string> {
	return (await redis.get(key)) ?? ((await PUT_ONCE.run(redis, [key], [value])) as string);
}
