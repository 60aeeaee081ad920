/** The address of a resolver in every sandbox's /etc/resolv.conf; the rules of a sandbox's network lead on from there, if it has one. */
export const SANDBOX_RESOLVER = "198.18.0.53";

/** What every name of a function leads to, on a network of functions. */
export const FUNCTIONS_ADDRESS = "198.18.0.1";

/** Where a node's worker listens for functions on a network (HTTP), and for the names of functions (DNS over UDP). */
export const FUNCTIONS_GATEWAY = { httpPort: 8080, namesPort: 8053 } as const;

/** What networks an engine can give sandboxes. */
export interface NetworkReport {
	/** What this host lacks for `internet` and networks of functions, and what to do; absent when nothing. */
	readonly missing?: string;
	/** The address where the worker listens for functions on a network. */
	readonly gateway: string;
}
