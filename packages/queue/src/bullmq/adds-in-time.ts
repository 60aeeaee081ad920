import { NOT_AFTER, type Redis, type ServerClock } from "@berth/redis";

/** BullMQ's scripts that put a job into a queue, as version 6.7.0 names them to its client: `addStandardJob:6.7.0`. */
const ADDS = /^add(?:Standard|Delayed)Job:/;

type Run = (args: readonly unknown[]) => Promise<unknown>;

/**
 * Has every job that BullMQ adds on a connection added in time, or never: whoever gives up waiting for the answer may say so. To be called before a
 * queue is made on it, since BullMQ defines its scripts on the connection then. What is too late rejects with a TooLateError.
 */
export function addInTime(redis: Redis, clock: ServerClock): void {
	const define = redis.defineCommand.bind(redis);
	redis.defineCommand = (name, definition) => {
		if (!ADDS.test(name)) return define(name, definition);
		define(name, { ...definition, lua: `${NOT_AFTER}${definition.lua}` });
		const scripts = redis as unknown as Record<string, Run>;
		const run = (scripts[name] as Run).bind(redis);
		scripts[name] = (args) => clock.inTime((notAfterMs) => run([...args, notAfterMs]));
	};
}
