import type { NodeCommand, NodeDrain, NodeList, NodeStats, SandboxInfo, SandboxList, StatsAnswer } from "@berth/contracts";
import { ApiError } from "./errors.js";
import { problemIn, type RawAnswer, type Transport } from "./transport.js";

/** Whether the gateway can take work, and if not, why. */
export interface Readiness {
	readonly ready: boolean;
	readonly detail?: string;
}

/** A command as the API takes it: the project is the key's. */
export type Command =
	| Exclude<NodeCommand, { readonly kind: "evict" }>
	/** Retires the idle sandboxes of a function. */
	| { readonly kind: "evict"; readonly function: string };

/** Nodes, their sandboxes and their figures. */
export function nodesOf(transport: Transport) {
	return {
		/** The nodes, those that went lately with them, and the gateways; for the operator's key. */
		nodes: (): Promise<NodeList> => transport.json({ method: "GET", path: "/v1/nodes" }),

		/** Whether a node takes nothing new, and what it has in hand; for the operator's key. @throws ApiError `not_found` */
		drainOf: (node: string, options: { readonly signal?: AbortSignal } = {}): Promise<NodeDrain> =>
			transport.json({ method: "GET", path: `/v1/nodes/${encodeURIComponent(node)}/drain`, signal: options.signal }),

		/** Has a node take nothing new: what it has begun ends there, the rest is handed back. @throws ApiError `not_found` */
		drain: (node: string): Promise<NodeDrain> => transport.json({ method: "POST", path: `/v1/nodes/${encodeURIComponent(node)}/drain` }),

		/** Has it take work again. @throws ApiError `not_found` */
		undrain: (node: string): Promise<NodeDrain> =>
			transport.json({ method: "DELETE", path: `/v1/nodes/${encodeURIComponent(node)}/drain` }),

		/** Every sandbox of every node. */
		async sandboxes(): Promise<readonly SandboxInfo[]> {
			return (await transport.json<SandboxList>({ method: "GET", path: "/v1/sandboxes" })).sandboxes;
		},

		/** With them the versions that crash again and again, by node: their next sandbox is started later. */
		async sandboxesAndFailing(): Promise<Required<SandboxList>> {
			const { sandboxes, failing = [] } = await transport.json<SandboxList>({ method: "GET", path: "/v1/sandboxes" });
			return { sandboxes, failing };
		},

		/** The figures of every node. */
		async stats(options: { readonly signal?: AbortSignal } = {}): Promise<readonly NodeStats[]> {
			return (await transport.json<StatsAnswer>({ method: "GET", path: "/v1/stats", signal: options.signal })).nodes;
		},

		/**
		 * Gives a command to every node and resolves when each has done it.
		 * @returns how many sandboxes it concerned
		 * @throws ApiError `not_found` for a sandbox that no node has
		 */
		command: (command: Command, options: { readonly signal?: AbortSignal } = {}): Promise<{ readonly affected: number }> =>
			transport.json({
				method: "POST",
				path: "/v1/nodes/commands",
				headers: { "content-type": "application/json" },
				body: JSON.stringify(command),
				signal: options.signal,
			}),

		/** What `/metrics` says, as text; the key is the operator's, or that of the metrics. @throws ApiError, ConnectionError */
		async metrics(options: { readonly signal?: AbortSignal } = {}): Promise<string> {
			const answer = await transport.raw({ method: "GET", path: "/metrics", signal: options.signal });
			if (answer.status >= 400) throw new ApiError(problemIn(answer));
			return answer.body.toString("utf8");
		},

		/** Asks `/readyz`. @throws ConnectionError when nobody answers */
		async ready(options: { readonly signal?: AbortSignal } = {}): Promise<Readiness> {
			return readinessOf(await transport.raw({ method: "GET", path: "/readyz", signal: options.signal }));
		},
	};
}

function readinessOf(answer: RawAnswer): Readiness {
	return answer.status < 300 ? { ready: true } : { ready: false, detail: problemIn(answer).detail };
}
