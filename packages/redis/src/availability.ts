import { BerthError } from "@berth/contracts";
import type { Redis } from "ioredis";

/** How long a command may wait for a connection that is just being made again, milliseconds: a server that is restarted is there within it. */
export const READY_WAIT_MS = 1000;

/** Waits at most `waitMs` until commands can be sent; whether they can. */
export async function untilReady(redis: Redis, waitMs: number): Promise<boolean> {
	if (redis.status === "ready") return true;
	if (redis.status === "end") return false;
	return await new Promise<boolean>((resolve) => {
		const done = (ready: boolean) => {
			clearTimeout(timer);
			redis.off("ready", onReady);
			redis.off("end", onEnd);
			resolve(ready);
		};
		const onReady = () => done(true);
		const onEnd = () => done(false);
		const timer = setTimeout(done, waitMs, false);
		redis.once("ready", onReady);
		redis.once("end", onEnd);
	});
}

/**
 * Runs commands for somebody who waits, on a connection for `command` use.
 * @param what they do, for the message
 * @throws BerthError `unavailable` within about 1.9 s when Redis is away, full or read-only; other BerthErrors pass
 */
export async function guarded<T>(redis: Redis, what: string, work: () => Promise<T>): Promise<T> {
	if (redis.status !== "ready" && !(await untilReady(redis, READY_WAIT_MS))) throw unavailable(what);
	try {
		return await work();
	} catch (error) {
		throw error instanceof BerthError ? error : unavailable(what, error);
	}
}

/** The error for a Redis that can't be reached or doesn't take the write. */
export function unavailable(what: string, cause?: unknown): BerthError {
	const why = cause instanceof Error ? ` (${cause.message})` : "";
	return new BerthError("unavailable", `${what}: Redis doesn't answer${why}; try again`, { cause });
}
