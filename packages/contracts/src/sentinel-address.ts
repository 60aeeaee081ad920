/** Where Sentinels are, and what they are asked for. */
export interface SentinelAddress {
	readonly sentinels: readonly { readonly host: string; readonly port: number }[];
	/** What the Sentinels call the server (`sentinel monitor <name> …`). */
	readonly name: string;
	/** Of the server, in whose URL they stand as in `redis://`; not of the Sentinels, which have none. */
	readonly login: string;
	readonly db: string;
	readonly tls: boolean;
}

const SENTINEL_PORT = 26_379;
const FORM = /^(rediss?)\+sentinel:\/\/(?:([^@/]*)@)?([^@/?#]+)\/([\w.-]+)(?:\/(\d+))?$/;
const HOST = /^(\[[^\]]+\]|[^:[\]]+)(?::(\d{1,5}))?$/;

/**
 * The parts of `redis+sentinel://[user:password@]host[:port][,host[:port]…]/name[/db]`, with `rediss+sentinel://` for a server that
 * speaks TLS. Undefined for what isn't of this form, whose hosts no `URL` can have.
 */
export function sentinelAddressOf(url: string): SentinelAddress | undefined {
	const [, protocol, login = "", hosts = "", name = "", db = "0"] = FORM.exec(url) ?? [];
	if (protocol === undefined) return undefined;
	const sentinels = hosts.split(",").map((each) => {
		const [, host, port = SENTINEL_PORT] = HOST.exec(each) ?? [];
		return host === undefined ? undefined : { host: host.replace(/^\[(.*)\]$/, "$1"), port: Number(port) };
	});
	if (!sentinels.every((each) => each !== undefined)) return undefined;
	return { sentinels, name, login, db, tls: protocol === "rediss" };
}
