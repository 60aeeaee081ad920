import { randomBytes } from "node:crypto";
import { closeRedis, LuaScript, openRedis } from "@berth/redis";
import { keys } from "./keys.js";

/** Also while memory is short: nothing starts without it. */
const NAME = new LuaScript(`#!lua flags=allow-oom
return redis.call('SET', KEYS[1], ARGV[1], 'NX', 'GET') or ARGV[1]`);

/** What tells the stack of a durable Redis from others, made the first time that it is asked for. @throws Error when it can't be reached */
export async function stackIdOf(durableUrl: string): Promise<string> {
	const [redis] = await openRedis([{ url: durableUrl, use: "patient", name: "stack-id" }]);
	try {
		return (await redis.get(keys.stack)) ?? ((await NAME.run(redis, [keys.stack], [randomBytes(4).toString("hex")])) as string);
	} finally {
		await closeRedis(redis);
	}
}
