import { BerthError, labelsText, type NodeLoad, type RuntimeClass, satisfies, type Version } from "@berth/contracts";
import { type NodeDirectory, type NodeInfo, type NodeLacks, PROTOCOLS_KNOWN } from "@berth/queue";
import { type Candidate, placeAmong } from "./bounded-load.js";
import { NodeLoads } from "./node-loads.js";
import { Rendezvous } from "./rendezvous.js";

/** Why it is so, only its machine knows: a Docker Engine or launcher that is gone, a start under way. */
export const NO_WORKER = "no worker takes invocations now: `berth doctor` on its machine says what it lacks";

/** A version that is to be run. */
type Placed = Pick<Version, "project" | "function" | "number" | "manifest">;

/** Where interactive invocations go: to their function's home while it has room, from this gateway's own view of the nodes. */
export class Placement {
	readonly #nodes: NodeDirectory;
	readonly #rendezvous = new Rendezvous();
	readonly #loads: NodeLoads;
	readonly #warm = new WeakMap<NodeLoad, ReadonlySet<string>>();

	constructor(nodes: NodeDirectory, loads = new NodeLoads()) {
		this.#nodes = nodes;
		this.#loads = loads;
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
	count(manifest: Version["manifest"]): number {
		return Math.max(1, openOf(this.#nodes).filter(({ labels }) => satisfies(labels, manifest.nodeSelector)).length);
	}

	/** One that has its labels and, if any has, its runtime class. @throws BerthError unavailable when there is no node, no_matching_node */
	nodeFor(version: Placed): string {
		const { project, function: name, number, manifest } = version;
		const all = candidatesFor(this.#nodes, manifest);
		const [only] = all;
		if (only === undefined) throw new BerthError("unavailable", NO_WORKER);
		if (all.length === 1) return only.id;
		const byId = new Map(all.map((node) => [node.id, node]));
		const order = this.#rendezvous.order(
			`${project}/${name}`,
			this.#nodes.nodes().map(({ id }) => id),
		);
		const ordered = order.flatMap((id) => {
			const node = byId.get(id);
			return node === undefined ? [] : [this.#candidate(node, `${project}/${name}:${number}`)];
		});
		return placeAmong(ordered)?.id ?? only.id;
	}

	#candidate(node: NodeInfo, key: string): Candidate {
		return { id: node.id, cores: node.cores ?? 1, load: this.#loads.on(node), isWarm: this.#isWarm(node, key) };
	}

	#isWarm({ load }: NodeInfo, key: string): boolean {
		if (load === undefined) return false;
		const known = this.#warm.get(load) ?? new Set(load.warm);
		this.#warm.set(load, known);
		return known.has(key);
	}
}

/** @throws BerthError no_matching_node */
function candidatesFor(nodes: NodeDirectory, manifest: Version["manifest"]): readonly NodeInfo[] {
	const lack = labelsLack(nodes, manifest);
	if (lack !== undefined) throw new BerthError("no_matching_node", lack);
	const matching = openOf(nodes).filter(({ labels }) => satisfies(labels, manifest.nodeSelector));
	const able = ableOf(matching, manifest.runtimeClass);
	// Where none has the class any of them says why.
	return able.length > 0 ? able : matching;
}

/** Why a function's background work can't be run anywhere now, in a sentence; undefined when it can. */
export function lackOf(nodes: NodeDirectory, manifest: Version["manifest"]): string | undefined {
	const { runtimeClass, nodeSelector } = manifest;
	const open = openOf(nodes);
	if (open.length === 0) return NO_WORKER;
	const unmatched = labelsLack(nodes, manifest);
	if (unmatched !== undefined) return unmatched;
	const matching = open.filter(({ labels }) => satisfies(labels, nodeSelector));
	if (ableOf(matching, runtimeClass).length > 0) return undefined;
	const among = nodeSelector === undefined ? "" : ` of those with ${labelsText(nodeSelector)}`;
	return `no node${among} has the runtime class ${runtimeClass}: it waits for one, or for a version without it`;
}

/** Which labels no node has together that takes work, in a sentence; undefined when one has them, or there is none at all. */
export function labelsLack(nodes: NodeDirectory, { nodeSelector }: Version["manifest"]): string | undefined {
	const open = openOf(nodes);
	if (nodeSelector === undefined || open.length === 0 || open.some(({ labels }) => satisfies(labels, nodeSelector))) return undefined;
	return `no node that takes work has the labels ${labelsText(nodeSelector)}: invocations wait for one in the background, and are refused otherwise; nodes have labels by BERTH_NODE_LABELS (\`berth nodes\`)`;
}

/** Nothing is stored of what no node can run. @throws BerthError runtime_class_unavailable, network_unavailable: when every node says why it can't */
export function refuseUnrunnable(nodes: NodeDirectory, { runtimeClass, network }: Version["manifest"]): void {
	const open = openOf(nodes);
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

/** Those that take work: where there are none, those that will in a moment. Of others' versions of Berth only those whose words are known. */
export function openOf(nodes: NodeDirectory): readonly NodeInfo[] {
	const known = nodes.nodes().filter(({ protocol = 1 }) => PROTOCOLS_KNOWN.includes(protocol));
	const open = known.filter(({ draining }) => draining !== true);
	return open.length > 0 ? open : known.filter(({ returns }) => returns === true);
}

function ableOf(nodes: readonly NodeInfo[], wanted: RuntimeClass | undefined): readonly NodeInfo[] {
	return wanted === undefined ? nodes : nodes.filter(({ runtimeClasses }) => runtimeClasses?.includes(wanted) === true);
}
