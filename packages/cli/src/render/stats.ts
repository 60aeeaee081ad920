import type { NodeStats } from "@berth/contracts";
import { pairsOf } from "./table.js";
import { ageText, bytesText } from "./units.js";

/** The figures of each node; with those of a moment before, rates per second too. */
export function statsText(
	nodes: readonly NodeStats[],
	nowMs: number,
	before?: { readonly nodes: readonly NodeStats[]; readonly elapsedMs: number },
): string {
	return nodes.map((node) => nodeText(node, nowMs, rateOf(node, before))).join("\n\n");
}

function nodeText(node: NodeStats, nowMs: number, perSecond: number | undefined): string {
	const total = sum(node.invocations);
	const rate = perSecond === undefined ? "" : `, ${perSecond.toFixed(perSecond < 10 ? 1 : 0)}/s now`;
	return `${node.node}\n${pairsOf(
		[
			["up", ageText(Math.max(0, nowMs - Date.parse(node.startedAt)))],
			["invocations", `${total}${listOf(node.invocations)}${rate}`],
			["starts", `${sum(node.starts)}${listOf(node.starts)}`],
			["waiting", String(node.waiting)],
			...(node.failing > 0 ? ([["FAILING", `${node.failing} versions crash again and again: \`berth ps\``]] as const) : []),
			["sandboxes", `${sum(node.sandboxes)}${listOf(node.sandboxes)}`],
			["memory", `${bytesText(node.memoryBytes)} of ${bytesText(node.memoryBudgetBytes)}`],
			...(node.unenforced === undefined ? [] : ([["INSECURE", `not enforced: ${node.unenforced.join(", ")}`]] as const)),
			["builds", `${node.builds.started} started, ${node.builds.bundled} bundled, ${node.builds.layersReused} layers reused`],
		],
		"  ",
	)}`;
}

type Counts = Readonly<Partial<Record<string, number>>>;

function sum(counts: Counts): number {
	return Object.values(counts).reduce<number>((total, count) => total + (count ?? 0), 0);
}

/** `: 3 warm, 1 boot`, without what is 0. */
function listOf(counts: Counts): string {
	const some = Object.entries(counts).filter(([, count]) => (count ?? 0) > 0);
	return some.length === 0 ? "" : `: ${some.map(([name, count]) => `${count} ${name}`).join(", ")}`;
}

function rateOf(
	node: NodeStats,
	before: { readonly nodes: readonly NodeStats[]; readonly elapsedMs: number } | undefined,
): number | undefined {
	const earlier = before?.nodes.find((each) => each.node === node.node && each.startedAt === node.startedAt);
	if (before === undefined || earlier === undefined) return undefined;
	return ((sum(node.invocations) - sum(earlier.invocations)) * 1000) / before.elapsedMs;
}
