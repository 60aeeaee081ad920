import { LuaScript, type Redis } from "@berth/redis";
import { NODE_IDS, nodeLeaseOf } from "./keys.js";
import type { NodeInfo } from "./node-ports.js";

/** The leases of a list of ids; one whose lease has ended is taken off the list. */
const READ_LEASES = new LuaScript(`
	local leases = {}
	for _, id in ipairs(redis.call("SMEMBERS", KEYS[1])) do
		local lease = redis.call("GET", ARGV[1] .. id)
		if lease then leases[#leases + 1] = lease else redis.call("SREM", KEYS[1], id) end
	end
	return leases
`);

/** What the live leases on the fast Redis say. @param ids the list @param leaseOf the key of an id's lease */
export async function readLeases<T>(redis: Redis, ids: string, leaseOf: (id: string) => string): Promise<T[]> {
	const leases = (await READ_LEASES.run(redis, [ids], [leaseOf("")])) as string[];
	return leases.map((text) => JSON.parse(text) as T);
}

/** The nodes with a live lease on the fast Redis. */
export async function readNodes(redis: Redis): Promise<NodeInfo[]> {
	return await readLeases<NodeInfo>(redis, NODE_IDS, nodeLeaseOf);
}
