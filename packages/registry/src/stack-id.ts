import { closeRedis, idOf, openRedis } from "@berth/redis";
import { keys } from "./keys.js";

/** What tells the stack of a durable Redis from others, made the first time that it is asked for. @throws Error when it can't be reached */
export async function stackIdOf(durableUrl: string): Promise<string> {
	const [redis] = await openRedis([{ url: durableUrl, use: "patient", name: "stack-id" }]);
	try {
		return await idOf(redis, keys.stack);
	} finally {
		await closeRedis(redis);
	}
}
