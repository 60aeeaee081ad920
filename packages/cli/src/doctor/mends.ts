import type { Settings } from "@berth/config";
import { withoutPassword } from "./redis-connection.js";
import type { RedisRole } from "./redis-writes.js";

type Servers = Pick<Settings, "embedded" | "durableRedisUrl" | "fastRedisUrl">;

/** What helps where a Redis server doesn't answer. */
export function mendOfRedis(role: RedisRole, { embedded, durableRedisUrl, fastRedisUrl }: Servers): string {
	if (embedded[role])
		return `Read logs/redis-${role}.log in the data directory. The supervisor starts one again that ended, and not one that is there and says nothing: see what holds that up (its disk, memory, a stop signal), or end its process.`;
	const where = withoutPassword(role === "durable" ? durableRedisUrl : fastRedisUrl);
	return `See to the server of BERTH_${role.toUpperCase()}_REDIS_URL (${where}), or to the way there. Nothing here has to be started again: all goes on when it answers.`;
}

/** What helps against what keeps a gateway from being ready. @param detail in its words */
export function mendOfUnready(detail: string, settings: Servers): string {
	const away = (["durable", "fast"] as const).filter((role) => detail.includes(`the ${role} Redis doesn't answer`));
	if (away.length > 0) return away.map((role) => mendOfRedis(role, settings)).join(" ");
	if (detail.includes("berth drain --undo")) return "One that stops is back when `berth up` on its machine has started it.";
	return "Read the logs in the data directory, below logs/: the supervisor starts again what ended.";
}
