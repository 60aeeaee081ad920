import { createHash } from "node:crypto";
import { BerthError, type RuntimeClass, type Version } from "@berth/contracts";
import type { NodeDirectory, NodeInfo } from "@berth/queue";

/** Why it is so, only its machine knows: a Docker Engine or launcher that is gone, a start under way. */
export const NO_WORKER = "no worker takes invocations now: `berth doctor` on its machine says what it lacks";

/**
 * The node for a function's interactive invocations: the highest of the hashes of function and node
 * (rendezvous hashing), so that each has a home where it stays warm and few move when a node comes or
 * goes. One that has the function's runtime class, if any has. @throws BerthError unavailable when there is no node
 */
export function nodeFor(nodes: NodeDirectory, version: Pick<Version, "project" | "function" | "manifest">): string {
	const { project, function: name, manifest } = version;
	const open = nodes.nodes().filter(({ draining }) => draining !== true);
	const all = haveClass(open, manifest.runtimeClass);
	const [only] = all;
	if (only === undefined) throw new BerthError("unavailable", NO_WORKER);
	if (all.length === 1) return only.id;
	const weigh = (id: string) => createHash("sha1").update(`${project}/${name}@${id}`).digest("hex");
	return all.map(({ id }) => ({ id, weight: weigh(id) })).reduce((best, one) => (one.weight > best.weight ? one : best)).id;
}

/** Where none has it any of them says why. */
function haveClass(nodes: readonly NodeInfo[], wanted: RuntimeClass | undefined): readonly NodeInfo[] {
	if (wanted === undefined) return nodes;
	const able = nodes.filter(({ runtimeClasses }) => runtimeClasses?.includes(wanted) === true);
	return able.length > 0 ? able : nodes;
}
