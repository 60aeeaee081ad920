import { labelsText, MIB, type NodeList, type NodeRecord } from "@berth/contracts";
import { tableOf } from "./table.js";
import { bytesText, sinceText } from "./units.js";

/** What a state that isn't `ready` means, for who hasn't met it. */
const MEANINGS: Readonly<Partial<Record<NodeRecord["state"], string>>> = {
	draining: "it ends what it has, and is given nothing more",
	restarting: "its worker is back in a moment, and what is placed on it waits",
	incompatible: "its version of Berth is one that this gateway has no words for; bring gateways to the new version first",
	left: "it was stopped",
	lost: "its lease ended though nobody stopped it; what waited there was placed again: look at that machine (`berth doctor`)",
};

/** The nodes below each other, the gateways behind them. */
export function nodesText({ nodes, gateways }: NodeList, nowMs: number): string {
	const table = nodes.length === 0 ? "No node is up: `berth doctor` on its machine says what a worker lacks." : nodesTable(nodes, nowMs);
	const count = `${gateways.length} ${gateways.length === 1 ? "gateway" : "gateways"}`;
	return `${table}\n\n${count}: ${gateways.map(({ id, address }) => (address === undefined ? id : `${id} at ${address}`)).join(", ")}`;
}

/** Of each node that isn't ready what that means. */
export function nodeNotes(nodes: readonly NodeRecord[]): readonly string[] {
	return nodes.flatMap(({ id, state }) => (MEANINGS[state] === undefined ? [] : [`${id} is ${state}: ${MEANINGS[state]}.`]));
}

function nodesTable(nodes: readonly NodeRecord[], nowMs: number): string {
	const held = ({ load }: NodeRecord) => load && `${bytesText(load.heldMiB * MIB)} of ${bytesText(load.memoryMiB * MIB)}`;
	return tableOf(nodes, [
		{ heading: "NODE", cell: (each) => each.id },
		{ heading: "HOST", cell: (each) => each.host ?? "-" },
		{ heading: "STATE", cell: (each) => (each.goneAt === undefined ? each.state : `${each.state} ${sinceText(each.goneAt, nowMs)}`) },
		{ heading: "STARTED", cell: (each) => sinceText(each.startedAt, nowMs), align: "right" },
		{ heading: "CORES", cell: (each) => String(each.cores ?? "-"), align: "right" },
		{ heading: "MEMORY", cell: (each) => held(each) ?? "-", align: "right" },
		{ heading: "SANDBOXES", cell: (each) => String(each.load?.sandboxes ?? "-"), align: "right" },
		{ heading: "RUNNING", cell: ({ load }) => (load === undefined ? "-" : `${load.running} of ${load.mostRunning}`), align: "right" },
		{ heading: "WARM", cell: (each) => String(each.load?.warm.length ?? "-"), align: "right" },
		{ heading: "ENGINE", cell: ({ engine = "-", runtimeClasses = [] }) => [engine, ...runtimeClasses].join("+") },
		{ heading: "VERSION", cell: (each) => each.release ?? "-" },
		{ heading: "LABELS", cell: (each) => labelsText(each.labels ?? {}) || "-" },
	]);
}
