import { nodeIdOf, type Settings } from "@berth/config";
import { askRedis, RedisError, type Reply } from "../doctor/redis-connection.js";

/** What a node or gateway renews every few seconds while it lives, and the list of those, as the queue writes them. */
const LISTS = [
	["berth:nodes", "berth:node:"],
	["berth:gateways", "berth:gateway:"],
] as const;

/** What one says of itself there. */
interface Lease {
	readonly id: string;
	readonly host?: string;
	readonly address?: string;
	readonly shares?: { readonly machine: string };
}

/**
 * The other machines of the stack that are up, as a person finds them: by host name, address or id. Where the fast Redis is this machine's own there are none.
 * @throws Error when it doesn't answer
 */
export async function otherMachines(settings: Settings): Promise<readonly string[]> {
	if (settings.embedded.fast) return [];
	const ours = nodeIdOf(settings);
	const found = new Map<string, string>();
	for (const [list, lease] of LISTS)
		for (const { id, host, address, shares } of await leasesIn(settings.fastRedisUrl, list, lease)) {
			const machine = shares?.machine ?? id;
			if (machine !== ours && !found.has(machine)) found.set(machine, host ?? address?.replace(/:\d+$/, "") ?? id);
		}
	return [...new Set(found.values())].sort();
}

async function leasesIn(url: string, list: string, lease: string): Promise<readonly Lease[]> {
	const ids = texts((await askRedis(url, [["SMEMBERS", list]]))[0]);
	if (ids.length === 0) return [];
	const [leases] = await askRedis(url, [["MGET", ...ids.map((id) => lease + id)]]);
	return texts(leases).map((text) => JSON.parse(text) as Lease);
}

function texts(reply: Reply | undefined): readonly string[] {
	if (Array.isArray(reply)) return reply.filter((each): each is string => typeof each === "string");
	throw reply instanceof RedisError ? reply : new Error("the fast Redis answers what no Redis does");
}
