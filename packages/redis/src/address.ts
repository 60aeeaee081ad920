import type { RedisOptions } from "ioredis";

/** What `replyMapping` changes is the type of every reply: nobody here sets it. */
export type ConnectionOptions = Omit<RedisOptions, "replyMapping">;

const PORT = 6379;

/**
 * Where a server is, of `redis://[user:password@]host[:port][/db]`, the same with `rediss://` (TLS), or
 * `unix:///path[?db=n]`. @throws TypeError for what is none of them
 */
export function addressOf(url: string): ConnectionOptions {
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
			throw new TypeError(`${withoutPassword(url)} isn't redis://, rediss:// or unix://`);
	}
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
