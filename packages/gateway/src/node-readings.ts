import { labelsText, type Manifest, type RuntimeClass, satisfies } from "@berth/contracts";
import { type NodeDirectory, type NodeInfo, PROTOCOLS_KNOWN } from "@berth/queue";
import type { Candidate } from "./bounded-load.js";
import type { NodeLoads } from "./node-loads.js";

/** What of a function says where it may run. */
type Wishes = Pick<Manifest, "nodeSelector" | "runtimeClass">;

/** Those that take work: where there are none, those that will in a moment. Of others' versions of Berth only those whose words are known. */
export function openOf(nodes: readonly NodeInfo[]): readonly NodeInfo[] {
	const known = nodes.filter(({ protocol = 1 }) => PROTOCOLS_KNOWN.includes(protocol));
	const open = known.filter(({ draining }) => draining !== true);
	return open.length > 0 ? open : known.filter(({ returns }) => returns === true);
}

/** Of those that take work, the ones that have a runtime class. */
export function withClass(nodes: readonly NodeInfo[], wanted: RuntimeClass | undefined): readonly NodeInfo[] {
	return wanted === undefined ? nodes : nodes.filter(({ runtimeClasses }) => runtimeClasses?.includes(wanted) === true);
}

/** A node that was listed, with what is in flight there. */
export class ListedNode implements Candidate {
	readonly id: string;
	readonly cores: number;
	readonly #info: NodeInfo;
	readonly #loads: NodeLoads;
	#warm: ReadonlySet<string> | undefined;

	constructor(info: NodeInfo, loads: NodeLoads) {
		this.id = info.id;
		this.cores = info.cores ?? 1;
		this.#info = info;
		this.#loads = loads;
	}

	get load(): number {
		return this.#loads.on(this.#info);
	}

	/** @param key `<project>/<function>:<version>` */
	isWarm(key: string): boolean {
		this.#warm ??= new Set(this.#info.load?.warm);
		return this.#warm.has(key);
	}
}

/** What one reading of all leases says. Invocations until the next one ask the same of it again and again: that is worked out once. */
class Reading {
	readonly list: readonly NodeInfo[];
	readonly ids: readonly string[];
	readonly #nodes: ReadonlyMap<NodeInfo, ListedNode>;
	readonly #able = new Map<string, ReadonlySet<ListedNode>>();

	constructor(list: readonly NodeInfo[], loads: NodeLoads) {
		this.list = list;
		this.ids = list.map(({ id }) => id);
		this.#nodes = new Map(list.map((info) => [info, new ListedNode(info, loads)]));
	}

	/** Nodes that may run it: with its labels, and its runtime class if any of those has it; else any of them says why it can't. */
	able({ nodeSelector, runtimeClass }: Wishes): ReadonlySet<ListedNode> {
		const key = nodeSelector === undefined ? (runtimeClass ?? "") : `${runtimeClass ?? ""} ${labelsText(nodeSelector)}`;
		const known = this.#able.get(key);
		if (known !== undefined) return known;
		const matching = openOf(this.list).filter(({ labels }) => satisfies(labels, nodeSelector));
		const able = withClass(matching, runtimeClass);
		const found = new Set((able.length > 0 ? able : matching).map((info) => this.#nodes.get(info) as ListedNode));
		this.#able.set(key, found);
		return found;
	}

	/** @param order places in the list */
	*inOrder(order: Uint32Array, able: ReadonlySet<ListedNode>): Iterable<ListedNode> {
		for (const at of order) {
			const node = this.#nodes.get(this.list[at] as NodeInfo) as ListedNode;
			if (able.has(node)) yield node;
		}
	}
}

/** The last reading that a directory made. */
export class Readings {
	readonly #loads: NodeLoads;
	#last: Reading | undefined;

	constructor(loads: NodeLoads) {
		this.#loads = loads;
	}

	/** A directory gives the same list until it has read again. */
	of(nodes: NodeDirectory): Reading {
		const list = nodes.nodes();
		if (this.#last?.list !== list) this.#last = new Reading(list, this.#loads);
		return this.#last;
	}
}
