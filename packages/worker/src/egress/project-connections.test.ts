import { once } from "node:events";
import { Socket } from "node:net";
import { EGRESS_LIMITS } from "@berth/contracts";
import { expect, test } from "vitest";
import { ProjectConnections } from "./project-connections.js";

test("a project has a share of the node's connections, and again when it has closed some; another has its own", async () => {
	const connections = new ProjectConnections();
	const sockets = Array.from({ length: EGRESS_LIMITS.projectConnections }, () => new Socket());
	for (const socket of sockets) {
		expect(connections.hasRoom("greedy")).toBe(true);
		connections.keep("greedy", socket);
	}
	expect(connections.hasRoom("greedy")).toBe(false);
	expect(connections.hasRoom("other")).toBe(true);
	const [first] = sockets as [Socket];
	await once(first.destroy(), "close");
	expect(connections.hasRoom("greedy")).toBe(true);
	await Promise.all(sockets.slice(1).map((socket) => once(socket.destroy(), "close")));
});
