import type { InvocationRequest } from "@berth/contracts";
import { LuaScript, type Redis } from "@berth/redis";
import type { Job } from "bullmq";
import type { FunctionQueue } from "./function-queues.js";

/**
 * KEYS lock, job, rate's counter. ARGV token, attempt. While the lock holds, and once: the number of the attempt is given back, which nobody
 * has begun, and its place among those that may begin in the rate's period.
 */
const GIVE_BACK = new LuaScript(`
	if redis.call("GET", KEYS[1]) ~= ARGV[1] or redis.call("HGET", KEYS[2], "ats") ~= ARGV[2] then return end
	redis.call("HINCRBY", KEYS[2], "ats", -1)
	if tonumber(redis.call("GET", KEYS[3]) or 0) > 0 then redis.call("DECR", KEYS[3]) end
`);

/** What BullMQ counts when a job is taken that was only looked at is taken back: it costs neither job nor function anything. */
export async function untake(redis: Redis, queue: FunctionQueue, job: Job<InvocationRequest>, token: string): Promise<void> {
	const id = job.id as string;
	await GIVE_BACK.run(redis, [queue.toKey(`${id}:lock`), queue.toKey(id), queue.toKey("limiter")], [token, job.attemptsStarted]);
}
