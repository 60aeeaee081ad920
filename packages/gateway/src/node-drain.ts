import { BerthError, type NodeDrain } from "@berth/contracts";
import type { Request, Response } from "express";
import { askNode } from "./ask-node.js";
import { openOf } from "./node-readings.js";
import type { Services } from "./services.js";

/** How long a node may take to hand back what it hasn't begun, milliseconds. */
const DRAIN_MS = 15_000;

/** `GET /v1/nodes/{node}/drain` */
export async function getDrain(request: Request, response: Response, services: Services): Promise<void> {
	response.json((await drainOf(request, services)) satisfies NodeDrain);
}

/** `POST /v1/nodes/{node}/drain` */
export async function drainNode(request: Request, response: Response, services: Services): Promise<void> {
	response.json((await drainOf(request, services, true)) satisfies NodeDrain);
}

/** `DELETE /v1/nodes/{node}/drain` */
export async function undrainNode(request: Request, response: Response, services: Services): Promise<void> {
	response.json((await drainOf(request, services, false)) satisfies NodeDrain);
}

/** @throws BerthError not_found, unavailable */
async function drainOf({ params }: Request, services: Services, drains?: boolean): Promise<NodeDrain> {
	const node = String(params["node"]);
	const { nodes } = services;
	if (!nodes.nodes().some(({ id }) => id === node)) {
		const unlisted = nodes.unlisted();
		if (unlisted !== undefined) throw new BerthError("unavailable", unlisted);
		throw new BerthError("not_found", `there is no node ${node.slice(0, 100)} now: GET /v1/nodes (berth nodes) lists those that there are`);
	}
	const answer = await askNode(node, { kind: "drain", ...(drains === undefined ? {} : { drains }) }, services, DRAIN_MS);
	if (answer.kind !== "drain")
		throw new BerthError("platform_error", `node ${node} doesn't know how to drain: bring its worker to this version`);
	// Nobody is told that no other node takes work where one may only not be listed yet.
	if (nodes.unlisted() !== undefined) return answer.drain;
	return { ...answer.drain, otherNodes: openOf(nodes.nodes().filter(({ id }) => id !== node)).length };
}
