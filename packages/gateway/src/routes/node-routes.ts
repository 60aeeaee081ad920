import { livez, metrics, readyz } from "../health.js";
import { drainNode, getDrain, undrainNode } from "../node-drain.js";
import { listNodes } from "../node-list.js";
import { commandNodes, getStats, listSandboxes, nodeCommandSchema } from "../nodes.js";
import type { Route } from "../route.js";

/** What runs where, for operators. */
export const NODE_ROUTES: readonly Route[] = [
	{
		method: "get",
		path: "/v1/sandboxes",
		summary: "Every sandbox of every node",
		scope: "read",
		answers: { 200: "SandboxList" },
		serve: listSandboxes,
	},
	{
		method: "get",
		path: "/v1/stats",
		summary: "What each node did and holds",
		scope: "operator",
		answers: { 200: "StatsAnswer" },
		serve: getStats,
	},
	{
		method: "get",
		path: "/v1/nodes",
		summary: "The nodes, with what each is and holds, those that went lately, and the gateways",
		scope: "operator",
		answers: { 200: "NodeList" },
		serve: listNodes,
	},
	{
		method: "get",
		path: "/v1/nodes/{node}/drain",
		summary: "Whether a node takes nothing new, and what it has in hand",
		scope: "operator",
		answers: { 200: "NodeDrain" },
		serve: getDrain,
	},
	{
		method: "post",
		path: "/v1/nodes/{node}/drain",
		summary: "Have a node take nothing new: what it has begun ends there, the rest is handed back",
		scope: "operator",
		answers: { 200: "NodeDrain" },
		serve: drainNode,
	},
	{
		method: "delete",
		path: "/v1/nodes/{node}/drain",
		summary: "Have a node take work again",
		scope: "operator",
		answers: { 200: "NodeDrain" },
		serve: undrainNode,
	},
	{
		method: "post",
		path: "/v1/nodes/commands",
		summary: "Kill a sandbox, evict a function's idle ones, or set the prewarmed floor; answered when it is done",
		scope: "deploy",
		body: nodeCommandSchema,
		answers: { 200: "How many sandboxes it concerned" },
		serve: commandNodes,
	},
];

/** For who watches over the processes. */
export const HEALTH_ROUTES: readonly Route[] = [
	{ method: "get", path: "/livez", summary: "Whether the process answers", scope: "none", answers: { 200: "ok" }, serve: livez },
	{
		method: "get",
		path: "/readyz",
		summary: "Whether an invocation would be accepted",
		scope: "none",
		answers: { 200: "ok" },
		serve: readyz,
	},
	{
		method: "get",
		path: "/metrics",
		summary: "Prometheus metrics of the gateway and its workers, of all projects: for the operator's key, or the one for metrics",
		scope: "metrics",
		answers: { 200: "text/plain" },
		serve: metrics,
	},
];
