import { setTimeout as wait } from "node:timers/promises";
import type { Redis } from "ioredis";
import { addressOf, type ConnectionOptions, withoutPassword } from "./address.js";
import { untilReady } from "./availability.js";
import { BoundedRedis, type RedisRole } from "./bounded.js";
import { keepAlive } from "./keep-alive.js";
import { type ConnectionLog, SILENT } from "./log.js";
import { logOutages } from "./outages.js";

export type { Redis };

/**
 * What a connection is for:
 * `command`: someone waits, so a command fails within about a second when Redis is away, and is never sent twice.
 * `patient`: nobody does better than wait for Redis to return; commands are kept, 10,000 of them at most, and sent again.
 * `subscriber`: listens to channels; whoever made it subscribes again on every `ready`.
 */
export type RedisUse = "command" | "patient" | "subscriber";

/** The longest a command of somebody who waits takes, milliseconds. */
export const COMMAND_MS = 900;
const CONNECT_MS = 2000;
/**
 * How long a server may say nothing while something is asked of it, milliseconds: then the connection is made anew. A server
 * that is stopped, or a machine that is gone, closes none. Longer than BullMQ waits for a job (2 s).
 */
const SILENCE_MS = 5000;
/** Somebody waits, and asks no longer than COMMAND_MS: what is asked meanwhile piles up here. */
const COMMAND_SILENCE_MS = 2500;
/** At most one new connection in so long because the server takes no writes, milliseconds: it may be a replica for good. */
const DEMOTED_REST_MS = 1000;
const RETRY_FIRST_MS = 25;
const RETRY_MOST_MS = 1000;
const CLOSE_WAIT_MS = 500;
/** How long a start waits for a server, milliseconds: it may be starting too, and reading its files. */
const START_MS = 10_000;

const BY_USE: Readonly<Record<RedisUse, ConnectionOptions>> = {
	command: {
		enableOfflineQueue: false,
		autoResendUnfulfilledCommands: false,
		maxRetriesPerRequest: 0,
		commandTimeout: COMMAND_MS,
		socketTimeout: COMMAND_SILENCE_MS,
	},
	patient: { maxRetriesPerRequest: null, socketTimeout: SILENCE_MS },
	subscriber: { maxRetriesPerRequest: null, autoResubscribe: false, socketTimeout: SILENCE_MS },
};

/** What a connection is made with. */
export interface ConnectionSpec {
	/** See `addressOf`. */
	readonly url: string;
	readonly use: RedisUse;
	/** Tells it from the others of this process, in the log and in `CLIENT LIST` (as `berth-<name>`). */
	readonly name: string;
	/** What its server is to Berth, as callers are told. Default: durable. */
	readonly serves?: RedisRole;
	/** Told when the server goes and returns. Default: nobody. */
	readonly log?: ConnectionLog | undefined;
}

/** A connection that is being made, and made again for ever. Whoever asks for it closes it with `closeRedis`. */
export function connectRedis({ url, use, name, serves = "durable", log = SILENT }: ConnectionSpec): Redis {
	const redis = new BoundedRedis({
		...BY_USE[use],
		...addressOf(url),
		connectionName: `berth-${name}`,
		retryStrategy: retryDelayMs,
		connectTimeout: CONNECT_MS,
		disableClientInfo: true,
		reconnectOnError: whenDemoted(),
	});
	redis.serves = serves;
	logOutages(redis, { connection: name, server: withoutPassword(url) }, log);
	if (use === "subscriber") keepAlive(redis);
	return redis;
}

/**
 * Connections to one or more servers, all of them ready; they are closed with `closeRedis`.
 * @throws Error naming the server that couldn't be reached within 10 s, and why; none is left open then
 */
export async function openRedis<const Specs extends readonly ConnectionSpec[]>(
	specs: Specs,
	withinMs = START_MS,
): Promise<{ [Index in keyof Specs]: Redis }> {
	const connections = specs.map((spec) => connectRedis(spec));
	try {
		await Promise.all(connections.map((redis, at) => reached(redis, specs[at] as ConnectionSpec, withinMs)));
		return connections as { [Index in keyof Specs]: Redis };
	} catch (error) {
		await Promise.all(connections.map(closeRedis));
		throw error;
	}
}

async function reached(redis: Redis, { url }: ConnectionSpec, withinMs: number): Promise<void> {
	let last: Error | undefined;
	const note = (error: Error) => {
		last = error;
	};
	redis.on("error", note);
	const ready = await untilReady(redis, withinMs);
	redis.off("error", note);
	if (!ready) throw new Error(`no Redis at ${withoutPassword(url)} within ${withinMs / 1000} s: ${last?.message ?? "no answer"}`);
}

/** Doubles from 25 ms to a second, with jitter, for ever. */
function retryDelayMs(times: number): number {
	const capped = Math.min(RETRY_FIRST_MS * 2 ** Math.min(times - 1, 10), RETRY_MOST_MS);
	return Math.round(capped * (0.75 + Math.random() / 4));
}

/** Whether an error says that the server is a replica now: whoever has its name or its Sentinels is led to the new master. */
function whenDemoted(): (error: Error) => boolean {
	let lastAtMs = Number.NEGATIVE_INFINITY;
	return ({ message }) => {
		if (!message.startsWith("READONLY") || performance.now() - lastAtMs < DEMOTED_REST_MS) return false;
		lastAtMs = performance.now();
		return true;
	};
}

/** Closes a connection: politely when Redis answers, at once otherwise. */
export async function closeRedis(redis: Redis): Promise<void> {
	if (redis.status === "ready") {
		const stop = new AbortController();
		const late = wait(CLOSE_WAIT_MS, undefined, { signal: stop.signal }).catch(() => undefined);
		await Promise.race([redis.quit().catch(() => undefined), late]);
		stop.abort();
	}
	redis.disconnect();
}
