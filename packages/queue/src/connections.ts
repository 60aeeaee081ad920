import { setTimeout as wait } from "node:timers/promises";
import { BerthError } from "@berth/contracts";
import { Redis, type RedisOptions } from "ioredis";
import type { QueueLogger } from "./logger.js";

/**
 * What a connection is for:
 * `gateway`: someone waits for the command, so it fails within about a second when Redis is away, and is never sent twice.
 * `worker`: nobody does better than wait for Redis to return; commands are kept and sent again.
 * `subscriber`: listens to channels; whoever made it subscribes again on every `ready`.
 */
export type RedisUse = "gateway" | "worker" | "subscriber";

/** The longest a gateway waits for a reply, milliseconds. */
const COMMAND_TIMEOUT_MS = 900;
/** How long a gateway's command may wait for a connection that is just being made again, milliseconds. */
const READY_WAIT_MS = 400;
const RETRY_FIRST_MS = 25;
const RETRY_MOST_MS = 1000;
const CLOSE_WAIT_MS = 500;

/** Doubles from 25 ms to a second, with jitter, for ever. */
function retryDelayMs(times: number): number {
	const capped = Math.min(RETRY_FIRST_MS * 2 ** Math.min(times - 1, 10), RETRY_MOST_MS);
	return Math.round(capped * (0.75 + Math.random() / 4));
}

type Options = Omit<RedisOptions, "replyMapping">;

const BY_USE: Readonly<Record<RedisUse, Options>> = {
	gateway: { enableOfflineQueue: false, autoResendUnfulfilledCommands: false, maxRetriesPerRequest: 0, commandTimeout: COMMAND_TIMEOUT_MS },
	worker: { maxRetriesPerRequest: null },
	subscriber: { maxRetriesPerRequest: null, autoResubscribe: false },
};

/**
 * A connection to `redis://`, `rediss://` or `unix:///path[?db=n]`, reconnecting for ever. Whoever
 * asks for it closes it with `closeRedis`.
 */
export function connectRedis(url: string, use: RedisUse, name: string, log: QueueLogger): Redis {
	const options: Options = {
		...BY_USE[use],
		connectionName: `berth-${name}`,
		retryStrategy: retryDelayMs,
		connectTimeout: 2000,
		disableClientInfo: true,
	};
	const redis = url.startsWith("unix:") ? new Redis({ ...options, ...unixOptions(url) }) : new Redis(url, options);
	logOutages(redis, name, log);
	return redis;
}

function unixOptions(url: string): Options {
	const { pathname, searchParams, username, password } = new URL(url);
	return {
		path: decodeURIComponent(pathname),
		db: Number(searchParams.get("db") ?? 0),
		...(username ? { username: decodeURIComponent(username) } : {}),
		...(password ? { password: decodeURIComponent(password) } : {}),
	};
}

/** One line when a connection is lost and one when it is back; the attempts between are for debugging. */
function logOutages(redis: Redis, connection: string, log: QueueLogger): void {
	let lost = false;
	redis.on("error", (error: Error) => {
		log[lost ? "debug" : "warn"]({ connection, error: error.message }, "Redis can't be reached");
		lost = true;
	});
	redis.on("ready", () => {
		if (lost) log.info({ connection }, "Redis is back");
		lost = false;
	});
}

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
 * Runs commands of a gateway. @throws BerthError `unavailable` within about 1.3 s when Redis is away,
 * full or read-only; other BerthErrors pass.
 */
export async function guarded<T>(redis: Redis, work: () => Promise<T>): Promise<T> {
	if (!(await untilReady(redis, READY_WAIT_MS))) throw unavailable(undefined);
	try {
		return await work();
	} catch (error) {
		throw error instanceof BerthError ? error : unavailable(error);
	}
}

/** The error for a Redis that can't be reached or doesn't take the write. */
export function unavailable(cause: unknown): BerthError {
	const why = cause instanceof Error ? `: ${cause.message}` : "";
	return new BerthError("unavailable", `Redis doesn't answer${why}`, { cause });
}

/** Closes a connection: politely when Redis answers, at once otherwise. */
export async function closeRedis(redis: Redis): Promise<void> {
	if (redis.status === "end") return;
	if (redis.status === "ready") {
		const stop = new AbortController();
		const late = wait(CLOSE_WAIT_MS, undefined, { signal: stop.signal }).catch(() => undefined);
		await Promise.race([redis.quit().catch(() => undefined), late]);
		stop.abort();
	}
	redis.disconnect();
}
