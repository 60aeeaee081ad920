import { BerthError } from "@berth/contracts";
import { Redis, type RedisOptions } from "ioredis";

export type { Redis };

/**
 * What a connection is for. `command`: fails within a second while the server is away, because
 * somebody waits. `patient`: waits for the server's return, because nobody does (workers, and
 * subscriptions, which are made again after a reconnect).
 */
export type ConnectionRole = "command" | "patient";

const RETRY_MOST_MS = 500;
const COMMAND_MS = 1000;

const ROLES = {
	command: { enableOfflineQueue: false, maxRetriesPerRequest: 0, commandTimeout: COMMAND_MS },
	patient: { enableOfflineQueue: true, maxRetriesPerRequest: null },
} as const satisfies Record<ConnectionRole, RedisOptions>;

/** Options for `redis://`, `rediss://` and `unix://` addresses. Reconnects for ever. */
export function redisOptions(url: string, role: ConnectionRole) {
	const base = {
		...ROLES[role],
		connectTimeout: 5000,
		retryStrategy: (attempt: number) => Math.min(attempt * 50, RETRY_MOST_MS),
		enableReadyCheck: true,
	};
	if (url.startsWith("unix://")) return { ...base, path: url.slice("unix://".length) };
	const { protocol, hostname, port, username, password, pathname } = new URL(url);
	return {
		...base,
		host: hostname,
		port: port === "" ? 6379 : Number(port),
		...(username === "" ? {} : { username: decodeURIComponent(username) }),
		...(password === "" ? {} : { password: decodeURIComponent(password) }),
		...(pathname.length > 1 ? { db: Number(pathname.slice(1)) } : {}),
		...(protocol === "rediss:" ? { tls: {} } : {}),
	};
}

/** A connection that is ready. Errors while it is away are the commands' to report. @throws Error when the server can't be reached in 10 s */
export async function openRedis(url: string, role: ConnectionRole): Promise<Redis> {
	const redis = new Redis({ ...redisOptions(url, role), lazyConnect: true });
	let last: Error | undefined;
	redis.on("error", (error: Error) => {
		last = error;
	});
	const ready = new Promise<void>((resolve) => redis.once("ready", () => resolve()));
	const connecting = redis.connect().catch((error: Error) => {
		last = error;
	});
	let timer: NodeJS.Timeout | undefined;
	const late = new Promise<never>((_, reject) => {
		timer = setTimeout(() => reject(new Error(`no Redis at ${withoutPassword(url)} within 10 s: ${last?.message ?? "no answer"}`)), 10_000);
	});
	try {
		await Promise.race([ready, late]);
		await connecting;
		return redis;
	} catch (error) {
		redis.disconnect();
		throw error;
	} finally {
		clearTimeout(timer);
	}
}

/** Runs commands for somebody who waits: a server that is away or refuses becomes `unavailable`. */
export async function orUnavailable<T>(what: string, commands: () => Promise<T>): Promise<T> {
	try {
		return await commands();
	} catch (error) {
		if (error instanceof BerthError) throw error;
		throw new BerthError("unavailable", `${what}: Redis didn't do it (${(error as Error).message}); nothing was accepted, try again`, {
			cause: error,
		});
	}
}

function withoutPassword(url: string): string {
	return url.replace(/\/\/[^@/]*@/, "//");
}
