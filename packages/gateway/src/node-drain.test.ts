import type { NodeInfo } from "@berth/queue";
import type { Request, Response } from "express";
import { expect, test } from "vitest";
import { drainNode } from "./node-drain.js";
import type { Services } from "./services.js";

/** What a gateway that lists these nodes answers to whoever drains node a. */
async function drained(others: readonly Partial<NodeInfo>[], unlisted?: string): Promise<unknown> {
	const drain = { node: "a", draining: true, interactive: 0, background: 0, builds: 0 };
	const nodes = { nodes: () => [{ id: "a" }, ...others], unlisted: () => unlisted, ask: async () => ({ kind: "drain", drain }) };
	const answered = Promise.withResolvers<unknown>();
	const request = { params: { node: "a" } } as unknown as Request;
	await drainNode(request, { json: answered.resolve } as unknown as Response, { nodes } as unknown as Services);
	return await answered.promise;
}

test("whoever drains a node hears how many others take work, where no node may be missing from the list", async () => {
	expect(await drained([{ id: "b" }, { id: "c", draining: true }])).toHaveProperty("otherNodes", 1);
	expect(await drained([])).toHaveProperty("otherNodes", 0);
	expect(await drained([], "the fast Redis came back without their leases")).not.toHaveProperty("otherNodes");
});
