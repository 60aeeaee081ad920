import { SECOND_MS, sentinelAddressOf } from "@berth/contracts";
import type { RedisOptions } from "ioredis";

/** What `replyMapping` changes is the type of every reply: nobody here sets it. */
export type ConnectionOptions = Omit<RedisOptions, "replyMapping">;

const PORT = 6379;
/** Between two rounds over Sentinels none of which answers, and how long one may take. */
const SENTINEL_RETRY_MS = SECOND_MS / 2;
const SENTINEL_ANSWER_MS = SECOND_MS;

/**
 * Where a server is, of `redis://[user:password@]host[:port][/db]`, the same with `rediss://` (TLS),
 * `unix:///path[?db=n]`, or Sentinels that know it (`sentinelAddressOf`). @throws TypeError for what is none of them
 */
export function addressOf(url: string): ConnectionOptions {
	const asked = sentinelAddressOf(url);
	if (asked !== undefined) return sentinelOptions(asked);
	const parsed = new URL(url);
	const { protocol, username, password } = parsed;
	const login = {
		...(username === "" ? {} : { username: decodeURIComponent(username) }),
		...(password === "" ? {} : { password: decodeURIComponent(password) }),
	};
	switch (protocol) {
		case "unix:":
			return { path: decodeURIComponent(parsed.pathname), db: databaseOf(parsed.searchParams.get("db") ?? ""), ...login };
		case "redis:":
		case "rediss:":
			return {
				// An IPv6 address stands in brackets in a URL, and nowhere else.
				host: parsed.hostname.replace(/^\[(.*)\]$/, "$1"),
				port: parsed.port === "" ? PORT : Number(parsed.port),
				db: databaseOf(parsed.searchParams.get("db") ?? parsed.pathname.slice(1)),
				...login,
				...(protocol === "rediss:" ? { tls: {} } : {}),
			};
		default:
			throw new TypeError(`${withoutPassword(url)} isn't redis://, rediss://, redis+sentinel:// or unix://`);
	}
}

/** Each connection asks for the master when it is made anew, and is told by the Sentinels when another one is (`+switch-master`). */
function sentinelOptions({ sentinels, name, login, db, tls }: NonNullable<ReturnType<typeof sentinelAddressOf>>): ConnectionOptions {
	const [username = "", password = ""] = login.split(":").map(decodeURIComponent);
	return {
		sentinels: [...sentinels],
		name,
		role: "master",
		failoverDetector: true,
		sentinelRetryStrategy: () => SENTINEL_RETRY_MS,
		sentinelReconnectStrategy: () => SENTINEL_RETRY_MS,
		sentinelCommandTimeout: SENTINEL_ANSWER_MS,
		db: databaseOf(db),
		...(username === "" ? {} : { username }),
		...(password === "" ? {} : { password }),
		...(tls ? { tls: {}, enableTLSForSentinelMode: true } : {}),
	};
}

/** The address as it may be shown. */
export function withoutPassword(url: string): string {
	return url.replace(/\/\/[^@/]*@/, "//");
}

function databaseOf(text: string): number {
	const number = text === "" ? 0 : Number(text);
	if (Number.isInteger(number) && number >= 0) return number;
	throw new TypeError(`a Redis database is a whole number from 0, not ${JSON.stringify(text)}`);
}
