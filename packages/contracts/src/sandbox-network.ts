import type { NetworkChoice } from "./manifest.js";

/** The addresses of all sandboxes: the block that RFC 2544 keeps for benchmarks, as no host on the Internet has one. */
export const SANDBOX_BLOCK = "198.18.0.0/15";

/** The address of a resolver in every sandbox's /etc/resolv.conf; the rules of a sandbox's network lead on from there, if it has one. */
export const SANDBOX_RESOLVER = "198.18.0.53";

/** What every name of a function leads to, on a network of functions. */
export const FUNCTIONS_ADDRESS = "198.18.0.1";

/** Where a node's worker listens for functions on a network (HTTP), and for the names of functions (DNS over UDP). */
export const FUNCTIONS_GATEWAY = { httpPort: 8080, namesPort: 8053 } as const;

/**
 * Where a node's worker listens for functions that may reach some hosts: whatever they connect to comes to the one port, and what they ask
 * of DNS to the other (UDP).
 */
export const EGRESS_GATEWAY = { port: 8081, namesPort: 8054 } as const;

/** What names of hosts lead to in such a sandbox, each to one of its own: from 198.18.0.64 on. */
export const EGRESS_ADDRESSES = { first: 64, count: 192, prefix: "198.18.0." } as const;

/** The half of the sandboxes' addresses, 198.18.0.0/16, that networks of a Docker Engine have: wires have the other one. */
export const DOCKER_ADDRESSES = "198.18.128.0/17";

/** What networks an engine can give sandboxes. */
export interface NetworkReport {
	/** What this host lacks for `internet` and networks of functions, and what to do; absent when nothing. */
	readonly missing?: string;
	/** The address where the worker listens for functions on a network. */
	readonly gateway: string;
	/** What the rules know the bridges of a Docker Engine's networks by; absent with the engine `oci`. */
	readonly bridges?: NetworkBridges;
}

/** Names of network devices of this host. */
export interface NetworkBridges {
	readonly internet: string;
	readonly join: string;
	readonly allow: string;
}

/** What a sandbox is connected to: which hosts it may reach is its worker's to know. */
export type SandboxNetwork = Exclude<NetworkChoice, object> | { readonly join: string } | "allow";

export function sandboxNetworkOf(network: NetworkChoice): SandboxNetwork {
	return typeof network === "object" && "allow" in network ? "allow" : network;
}
