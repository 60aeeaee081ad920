import type { Redis } from "@berth/redis";
import type { Queue } from "bullmq";
import type { LaneDepth } from "../ports.js";
import { elapsedMs } from "../settlements.js";

export const NO_DEPTH: LaneDepth = { waiting: 0, active: 0, oldestMs: 0 };

/** Jobs that wait (retries included) or are active, and the age of the one that waits longest in line. */
export async function depthOf(queue: Queue, redis: Redis): Promise<LaneDepth> {
	const { wait, prioritized, delayed, active } = queue.keys as Record<"wait" | "prioritized" | "delayed" | "active", string>;
	const [waiting, ranked, later, running, next] = await Promise.all([
		redis.llen(wait),
		redis.zcard(prioritized),
		redis.zcard(delayed),
		redis.llen(active),
		redis.lindex(wait, -1),
	]);
	const sinceMs = next === null ? null : await redis.hget(queue.toKey(next), "timestamp");
	return { waiting: waiting + ranked + later, active: running, oldestMs: sinceMs === null ? 0 : elapsedMs(Number(sinceMs)) };
}

export function sumOfDepths(a: LaneDepth, b: LaneDepth): LaneDepth {
	return { waiting: a.waiting + b.waiting, active: a.active + b.active, oldestMs: Math.max(a.oldestMs, b.oldestMs) };
}
