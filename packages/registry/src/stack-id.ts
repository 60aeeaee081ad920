import { randomBytes } from "node:crypto";
import { closeRedis, openRedis } from "@berth/redis";
import { keys } from "./keys.js";
import { putOnce } from "./put-once.js";

/** What tells the stack of a durable Redis from others, made the first time that it is asked for. @throws Error when it can't be reached */
export async function stackIdOf(durableUrl: string): Promise<string> {
	const [redis] = await openRedis([{ url: durableUrl, use: "patient", name: "stack-id" }]);
	try {
		return await putOnce(redis, keys.stack, randomBytes(4).toString("hex"));
	} finally {
		await closeRedis(redis);
	}
}
