import { BerthError, labelsText, satisfies, type Version } from "@berth/contracts";
import type { NodeDirectory, NodeInfo, NodeLacks } from "@berth/queue";
import { placeAmong, totalsOf } from "./bounded-load.js";
import { NodeLoads } from "./node-loads.js";
import { openOf, Readings, withClass } from "./node-readings.js";
import { Rendezvous } from "./rendezvous.js";

/** Why it is so, only its machine knows: a Docker Engine or launcher that is gone, a start under way. */
const NO_WORKER = "no worker takes invocations now: `berth doctor` on its machine says what it lacks";
/** Of nodes that are drained, so many are named. */
const MOST_NAMED = 5;

/** A version that is to be run. */
type Placed = Pick<Version, "project" | "function" | "number" | "manifest">;

/** Where interactive invocations go: to their function's home while it has room, from this gateway's own view of the nodes. */
export class Placement {
	readonly #nodes: NodeDirectory;
	readonly #rendezvous = new Rendezvous();
	readonly #loads: NodeLoads;
	readonly #readings: Readings;

	constructor(nodes: NodeDirectory, loads = new NodeLoads()) {
		this.#nodes = nodes;
		this.#loads = loads;
		this.#readings = new Readings(loads);
	}

	/** Has a node do something, and counts it as in flight there meanwhile. */
	async at<T>(node: string, act: () => Promise<T>): Promise<T> {
		const end = this.#loads.begin(node);
		try {
			return await act();
		} finally {
			end();
		}
	}

	/** How many nodes may run it now; 1 at least. */
	count({ nodeSelector }: Version["manifest"]): number {
		return Math.max(1, this.#readings.of(this.#nodes).able({ nodeSelector }).size);
	}

	/** One that has its labels and, if any has, its runtime class. @throws BerthError unavailable when there is no node, no_matching_node */
	nodeFor(version: Placed): string {
		const { project, function: name, number, manifest } = version;
		const reading = this.#readings.of(this.#nodes);
		const able = reading.able(manifest);
		const [only] = able;
		if (only === undefined) throw refusal(this.#nodes, manifest);
		if (able.size === 1) return only.id;
		const order = this.#rendezvous.order(`${project}/${name}`, reading.ids);
		const key = `${project}/${name}:${number}`;
		const placed = placeAmong(reading.inOrder(order, able), totalsOf(able), (node) => node.isWarm(key));
		return (placed ?? only).id;
	}
}

function refusal(nodes: NodeDirectory, manifest: Version["manifest"]): BerthError {
	// The one with the labels may be among those that aren't listed.
	const lack = nodes.unlisted() === undefined ? labelsLack(nodes, manifest) : undefined;
	return lack === undefined ? new BerthError("unavailable", noWorker(nodes)) : new BerthError("no_matching_node", lack);
}

/** Why no node takes anything, in a sentence. */
export function noWorker(nodes: NodeDirectory): string {
	const unlisted = nodes.unlisted();
	if (unlisted !== undefined) return unlisted;
	const drained = nodes.nodes().filter(({ draining, returns }) => draining === true && returns !== true);
	if (drained.length === 0) return NO_WORKER;
	const names = drained.slice(0, MOST_NAMED).map(({ id }) => id);
	const more = drained.length > names.length ? ` and ${drained.length - names.length} more` : "";
	const are = drained.length > 1 ? "are drained, or stop" : "is drained, or stops";
	return `no node takes work: ${names.join(", ")}${more} ${are}. \`berth drain --undo <node>\` has one work again that an operator drained`;
}

/** Why a function's background work can't be run anywhere now, in a sentence; undefined when it can. */
export function lackOf(nodes: NodeDirectory, manifest: Version["manifest"]): string | undefined {
	const { runtimeClass, nodeSelector } = manifest;
	const open = openOf(nodes.nodes());
	if (open.length === 0) return noWorker(nodes);
	const unmatched = labelsLack(nodes, manifest);
	if (unmatched !== undefined) return unmatched;
	const matching = open.filter(({ labels }) => satisfies(labels, nodeSelector));
	if (withClass(matching, runtimeClass).length > 0) return undefined;
	const among = nodeSelector === undefined ? "" : ` of those with ${labelsText(nodeSelector)}`;
	return `no node${among} has the runtime class ${runtimeClass}: it waits for one, or for a version without it`;
}

/** Which labels no node has together that takes work, in a sentence; undefined when one has them, or there is none at all. */
export function labelsLack(nodes: NodeDirectory, { nodeSelector }: Version["manifest"]): string | undefined {
	const open = openOf(nodes.nodes());
	if (nodeSelector === undefined || open.length === 0 || open.some(({ labels }) => satisfies(labels, nodeSelector))) return undefined;
	return `no node that takes work has the labels ${labelsText(nodeSelector)}: invocations wait for one in the background, and are refused otherwise; nodes have labels by BERTH_NODE_LABELS (\`berth nodes\`)`;
}

/** Nothing is stored of what no node can run. @throws BerthError runtime_class_unavailable, network_unavailable: when every node says why it can't */
export function refuseUnrunnable(nodes: NodeDirectory, { runtimeClass, network }: Version["manifest"]): void {
	const open = openOf(nodes.nodes());
	const noClass = runtimeClass && everyLack(open, ({ runtimeClasses }) => runtimeClasses[runtimeClass]);
	if (noClass !== undefined) throw new BerthError("runtime_class_unavailable", noClass);
	const isOwn = network === "none" || network === "host";
	const noNetwork = isOwn ? undefined : everyLack(open, (lacks) => lacks.network);
	if (noNetwork !== undefined) throw new BerthError("network_unavailable", noNetwork);
}

/** Why the first node lacks what all lack; undefined when one has it, hasn't said, or there is none to ask: then the build says it. */
function everyLack(nodes: readonly NodeInfo[], lackOf: (lacks: NodeLacks) => string | undefined): string | undefined {
	const lacks = nodes.map((node) => node.lacks && lackOf(node.lacks));
	return lacks.every((why) => why !== undefined) ? lacks[0] : undefined;
}
