import type { GatewayRecord, NodeList, NodeRecord, NodeState } from "@berth/contracts";
import { type GatewayInfo, type GoneNode, type NodeInfo, PROTOCOLS_KNOWN } from "@berth/queue";
import type { Request, Response } from "express";
import type { Services } from "./services.js";

/** `GET /v1/nodes` */
export async function listNodes(_request: Request, response: Response, { nodes }: Services): Promise<void> {
	const gateways = await nodes.gateways();
	response.json({
		nodes: [...nodes.nodes().map((node) => recordOf(node, stateOf(node))), ...nodes.gone().map(goneOf)],
		gateways: gateways.map(gatewayOf).sort((a, b) => a.startedAt.localeCompare(b.startedAt)),
	} satisfies NodeList);
}

function goneOf({ node, reason, goneAtMs }: GoneNode): NodeRecord {
	return { ...recordOf(node, reason), goneAt: new Date(goneAtMs).toISOString() };
}

/** What gateways and nodes have to share is no reader's affair: the record has what is listed here. */
function recordOf(node: NodeInfo, state: NodeState): NodeRecord {
	const { id, host, startedAtMs, release, engine, cores, builds, runtimeClasses, labels, load } = node;
	return { id, host, state, startedAt: new Date(startedAtMs).toISOString(), release, engine, cores, builds, runtimeClasses, labels, load };
}

function stateOf({ protocol = 1, draining, returns }: NodeInfo): NodeState {
	if (draining === true) return returns === true ? "restarting" : "draining";
	return PROTOCOLS_KNOWN.includes(protocol) ? "ready" : "incompatible";
}

function gatewayOf({ id, startedAtMs, address }: GatewayInfo): GatewayRecord {
	return { id, startedAt: new Date(startedAtMs).toISOString(), ...(address === undefined ? {} : { address }) };
}
