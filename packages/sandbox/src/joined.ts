import { joinedNetwork } from "@berth/contracts";
import type { Sandbox } from "./sandbox.js";

/** The function behind an address on a network of functions. */
export interface Joined {
	readonly project: string;
	readonly function: string;
	readonly network: string;
	/** The invocation that it runs, or ran last, and how many that one comes of. */
	readonly invocation: string;
	readonly depth: number;
}

/** Undefined when none of the sandboxes has that address. */
export function joinedOf(sandboxes: readonly Sandbox[], address: string): Joined | undefined {
	const sandbox = sandboxes.find((one) => one.address === address);
	if (sandbox?.specialisation === undefined || sandbox.state === "retiring") return undefined;
	const { project, function: name, manifest } = sandbox.specialisation;
	const network = joinedNetwork(manifest.network);
	return network === undefined ? undefined : { project, function: name, network, invocation: sandbox.invocation, depth: sandbox.depth };
}
