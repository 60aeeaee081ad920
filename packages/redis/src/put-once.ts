import { randomBytes } from "node:crypto";
import type { Redis } from "ioredis";
import { LuaScript } from "./lua-script.js";

/** Also while memory is short: nothing starts without what is kept so. */
const PUT_ONCE = new LuaScript(`#!lua flags=allow-oom
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'GET') or ARGV[1]`);

/** Has a key hold a value unless it holds one; nothing is written then, so that this succeeds while no writes are taken. @returns what it holds */
export async function putOnce(redis: Redis, key: string, value: string): Promise<string> {
	return (await redis.get(key)) ?? ((await PUT_ONCE.run(redis, [key], [value])) as string);
}

/** What tells what a server holds from what others do: made the first time that it is asked for. */
export async function idOf(redis: Redis, key: string): Promise<string> {
	return await putOnce(redis, key, randomBytes(4).toString("hex"));
}
