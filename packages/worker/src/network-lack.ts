import { type Manifest, RUNTIME_CLASSES, type RuntimeClassReports, runtimeClassLack } from "@berth/contracts";
import type { NodeLacks } from "@berth/queue";

/**
 * Why a node can't give a function its network, in a sentence; undefined when it can.
 * @param missing what the node lacks for networks of functions, if anything
 */
export function networkLack({ network }: Pick<Manifest, "network">, missing: string | undefined): string | undefined {
	if (missing === undefined || network === "none" || network === "host") return undefined;
	return `This node has no networks for functions: ${missing}.`;
}

/** What this node says of itself: gateways refuse what no node can run before anything of it is stored. */
export function lacksOf(networkMissing: string | undefined, runtimeClasses: RuntimeClassReports): NodeLacks {
	const network = networkLack({ network: "internet" }, networkMissing);
	const missing = RUNTIME_CLASSES.flatMap((each) => {
		const why = runtimeClassLack(each, runtimeClasses);
		return why === undefined ? [] : [[each, why] as const];
	});
	return { ...(network === undefined ? {} : { network }), runtimeClasses: Object.fromEntries(missing) };
}
