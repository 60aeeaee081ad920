import type { Redis } from "ioredis";
import type { ConnectionLog } from "./log.js";

/** By log, which a process has one of, and by server: the connections that are lost. A process has twenty to the same server. */
const LOST = new WeakMap<ConnectionLog, Map<string, Set<Redis>>>();

/** One line when the first connection to a server is lost and one when all are back; the attempts between, and the others, are for debugging. */
export function logOutages(
	redis: Redis,
	{ connection, server }: { readonly connection: string; readonly server: string },
	log: ConnectionLog,
): void {
	const lost = lostOf(log, server);
	redis.on("error", (error: Error) => {
		log[lost.size > 0 ? "debug" : "warn"]({ connection, server, error: error.message }, "Redis can't be reached");
		lost.add(redis);
	});
	redis.on("ready", () => {
		if (lost.delete(redis) && lost.size === 0) log.info({ connection, server }, "Redis is back");
	});
	redis.on("end", () => lost.delete(redis));
}

function lostOf(log: ConnectionLog, server: string): Set<Redis> {
	const servers = LOST.get(log) ?? new Map<string, Set<Redis>>();
	LOST.set(log, servers);
	const lost = servers.get(server) ?? new Set<Redis>();
	servers.set(server, lost);
	return lost;
}
