import type { Manifest } from "@berth/contracts";

/**
 * Why a node can't give a function its network, in a sentence; undefined when it can.
 * @param missing what the node lacks for networks of functions, if anything
 */
export function networkLack({ network }: Pick<Manifest, "network">, missing: string | undefined): string | undefined {
	if (missing === undefined || network === "none" || network === "host") return undefined;
	return `This node has no networks for functions: ${missing}.`;
}
