import { LuaScript, type Redis } from "@berth/redis";
import { NODE_IDS, nodeLeaseOf } from "./keys.js";
import type { NodeInfo } from "./ports.js";

/** The leases of all nodes; an id whose lease has ended is taken off the list. */
const READ_NODES = new LuaScript(`
	local leases = {}
	for _, id in ipairs(redis.call("SMEMBERS", KEYS[1])) do
		local lease = redis.call("GET", ARGV[1] .. id)
		if lease then leases[#leases + 1] = lease else redis.call("SREM", KEYS[1], id) end
	end
	return leases
`);

/** The nodes with a live lease on the fast Redis. */
export async function readNodes(redis: Redis): Promise<NodeInfo[]> {
	const leases = (await READ_NODES.run(redis, [NODE_IDS], [nodeLeaseOf("")])) as string[];
	return leases.map((text) => JSON.parse(text) as NodeInfo);
}
