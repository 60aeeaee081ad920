import type { Settings } from "@berth/config";
import { isRunning, isStopped } from "../supervisor/process-identity.js";
import { readSupervisorState } from "../supervisor/state-file.js";
import { withoutPassword } from "./redis-connection.js";
import type { RedisRole } from "./redis-writes.js";

type Servers = Pick<Settings, "embedded" | "durableRedisUrl" | "fastRedisUrl" | "paths">;

/** What helps where a Redis server doesn't answer. */
export async function mendOfRedis(role: RedisRole, { embedded, durableRedisUrl, fastRedisUrl, paths }: Servers): Promise<string> {
	if (embedded[role]) return await mendOfEmbedded(`redis-${role}`, paths);
	const url = role === "durable" ? durableRedisUrl : fastRedisUrl;
	return `See to ${theirServer(role, url)}, or to the way there. Nothing here has to be started again: all goes on when it answers.`;
}

function theirServer(role: RedisRole, url: string): string {
	return `the server of BERTH_${role.toUpperCase()}_REDIS_URL (${withoutPassword(url)})`;
}

/** The same of one that the supervisor keeps running: by its process. @param name as the supervisor calls it */
async function mendOfEmbedded(name: string, paths: Servers["paths"]): Promise<string> {
	const log = `logs/${name}.log in the data directory`;
	const child = (await readSupervisorState(paths))?.children.find((each) => each.name === name);
	if (child === undefined || !(await isRunning(child)))
		return `Its process, ${name}, has ended, and the supervisor starts it again: ${log} says what ended it.`;
	const { pid } = child;
	if (await isStopped(child))
		return `Its process, ${name} (pid ${pid}), was stopped by a signal, and the supervisor starts again what ended alone: \`kill -CONT ${pid}\` has it go on.`;
	return `Its process, ${name} (pid ${pid}), is there, and the supervisor starts again what ended alone: read ${log}, and see what holds it up (its disk, memory); or end it, \`kill -9 ${pid}\`.`;
}

/** What helps against what keeps a gateway from being ready. @param detail in its words */
export async function mendOfUnready(detail: string, settings: Servers): Promise<string> {
	const away = (["durable", "fast"] as const).filter((role) => detail.includes(`the ${role} Redis doesn't answer`));
	if (away.length > 0) return (await Promise.all(away.map((role) => mendOfRedis(role, settings)))).join(" ");
	if (detail.includes("the fast Redis came back"))
		return `Wait 10 s: workers that live have listed themselves again by then. ${lossOfFast(settings)}`;
	if (detail.includes("berth drain --undo")) return "One that stops is back when `berth up` on its machine has started it.";
	return "Read the logs in the data directory, below logs/: the supervisor starts again what ended.";
}

/** Where stands why it came back without what it had. */
function lossOfFast({ embedded, fastRedisUrl }: Servers): string {
	return embedded.fast
		? "What ended that Redis, logs/redis-fast.log and logs/supervisor.log in the data directory say."
		: `See why ${theirServer("fast", fastRedisUrl)} lost what it had, or was away: it may only have been started again.`;
}
