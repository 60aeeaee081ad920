import { type SharedMeans, unsharedBetween } from "@berth/contracts";
import type { Redis } from "@berth/redis";
import { GATEWAY_IDS, GATEWAY_NEWS, gatewayLeaseOf } from "./keys.js";
import { NODE_LEASE_MS } from "./node-channels.js";
import { readLeases, readNodes } from "./node-leases.js";
import type { GatewayInfo } from "./node-ports.js";

/** The gateways with a live lease on the fast Redis. */
export async function readGateways(redis: Redis): Promise<GatewayInfo[]> {
	return await readLeases<GatewayInfo>(redis, GATEWAY_IDS, gatewayLeaseOf);
}

/** @returns whether its lease was there yet */
export async function renewGateway(redis: Redis, gateway: GatewayInfo): Promise<boolean> {
	const said = JSON.stringify(gateway);
	const replies = await redis
		.multi()
		.set(gatewayLeaseOf(gateway.id), said, "PX", NODE_LEASE_MS, "GET")
		.sadd(GATEWAY_IDS, gateway.id)
		.exec();
	return typeof replies?.[0]?.[1] === "string";
}

/** Lists it, and says so. */
export async function joinAsGateway(redis: Redis, gateway: GatewayInfo): Promise<void> {
	await renewGateway(redis, gateway);
	await redis.publish(GATEWAY_NEWS, gateway.id);
}

export async function endGateway(redis: Redis, { id }: GatewayInfo): Promise<void> {
	await redis.multi().del(gatewayLeaseOf(id)).srem(GATEWAY_IDS, id).publish(GATEWAY_NEWS, id).exec();
}

/** @throws Error for a machine that doesn't share what it has to with those that are here: it names the setting */
export async function requireShared(redis: Redis, ours: SharedMeans | undefined): Promise<void> {
	if (ours === undefined) return;
	for (const { id, shares } of [...(await readNodes(redis)), ...(await readGateways(redis))]) {
		const why = shares && unsharedBetween(ours, shares, id);
		if (why !== undefined) throw new Error(`this machine can't be of this stack: ${why}`);
	}
}
