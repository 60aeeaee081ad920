import type { Redis } from "@berth/redis";

/** BullMQ's script that takes a job, as a version names it to its client: `moveToActive:6.7.0`. */
const TAKES = /^moveToActive:/;

/** ARGV[2] is what time it is. */
const BY_ITS_CLOCK = `
	do
		local time = redis.call("TIME")
		ARGV[2] = string.format("%d", time[1] * 1000 + math.floor(time[2] / 1000))
	end
`;

/**
 * Has BullMQ go by the server's clock for which delayed jobs are due, whichever worker takes one, instead of by that worker's. To be called before a
 * queue is made on the connection, since BullMQ defines its scripts there then.
 */
export function takeByItsClock(redis: Redis): void {
	const define = redis.defineCommand.bind(redis);
	redis.defineCommand = (name, definition) =>
		define(name, TAKES.test(name) ? { ...definition, lua: `${BY_ITS_CLOCK}${definition.lua}` } : definition);
}
