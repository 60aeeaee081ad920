import type { AttemptAnswer, InvocationAnswer, InvocationSummary } from "@berth/contracts";
import { pairsOf, tableOf } from "./table.js";
import { durationText, sinceText } from "./units.js";

/** Invocations below each other, as a list has them. */
export function invocationsTable(invocations: readonly InvocationSummary[], nowMs: number): string {
	return tableOf(invocations, [
		{ heading: "ID", cell: ({ id }) => id },
		{ heading: "FUNCTION", cell: ({ function: name, version }) => `${name} v${version}` },
		{ heading: "STATE", cell: stateText },
		{ heading: "ATTEMPT", cell: ({ attempt }) => (attempt === undefined ? "-" : String(attempt)), align: "right" },
		{ heading: "SOURCE", cell: ({ source }) => source },
		{ heading: "ACCEPTED", cell: ({ acceptedAt }) => sinceText(acceptedAt, nowMs), align: "right" },
	]);
}

/** Reasons for waiting that are told below a list, at most. */
const MOST_REASONS = 5;

/** Why those of a list wait that wait for more than their turn: each reason once. */
export function waitingText(invocations: readonly InvocationSummary[]): readonly string[] {
	const waiting = new Map<string, number>();
	for (const { function: name, version, waitsFor } of invocations) {
		if (waitsFor === undefined) continue;
		const reason = `${name} v${version}: ${waitsFor}.`;
		waiting.set(reason, (waiting.get(reason) ?? 0) + 1);
	}
	const lines = [...waiting].map(([reason, count]) => `${count} waiting of ${reason}`);
	const more = lines.length - MOST_REASONS;
	return more > 0 ? [...lines.slice(0, MOST_REASONS), `And ${more} more such reasons: \`berth invocations inspect\` says them.`] : lines;
}

/** All there is to know of one, but for its result and its log. */
export function invocationText(record: InvocationAnswer): string {
	const {
		id,
		function: name,
		version,
		source,
		parent,
		replayOf,
		replayedAs,
		acceptedAt,
		startedAt,
		settledAt,
		attempts,
		waitsFor,
	} = record;
	const pairs: (readonly [string, string])[] = [
		["id", id],
		["function", `${name} v${version}`],
		["state", stateText(record)],
		...(waitsFor === undefined ? [] : [["waits", waitsFor] as const]),
		["source", source],
		...(parent === undefined ? [] : [["asked by", `${parent.function}, ${parent.id}`] as const]),
		...(replayOf === undefined ? [] : [["replay of", replayOf] as const]),
		...(replayedAs === undefined ? [] : [["replayed as", replayedAs] as const]),
		["accepted", acceptedAt],
		...(startedAt === undefined ? [] : [["began", startedAt] as const]),
		...(settledAt === undefined ? [] : [["settled", settledAt] as const]),
	];
	return attempts.length === 0 ? pairsOf(pairs) : `${pairsOf(pairs)}\n\n${attemptsTable(attempts)}`;
}

export function attemptText({ attempt, outcome, phases, error }: AttemptAnswer): string {
	const why = error === undefined ? "" : `: ${error.name}: ${error.message}`;
	return `attempt ${attempt} ${outcome} after ${durationText(phases.runMs)}${why}`;
}

function attemptsTable(attempts: readonly AttemptAnswer[]): string {
	return tableOf(attempts, [
		{ heading: "ATTEMPT", cell: ({ attempt }) => String(attempt), align: "right" },
		{ heading: "OUTCOME", cell: ({ outcome }) => outcome },
		{ heading: "START", cell: ({ start }) => start ?? "-" },
		{ heading: "QUEUED", cell: ({ phases }) => durationText(phases.queueMs), align: "right" },
		{ heading: "RAN", cell: ({ phases }) => durationText(phases.runMs), align: "right" },
		{ heading: "ERROR", cell: ({ error }) => (error === undefined ? "" : `${error.name}: ${error.message}`) },
	]);
}

function stateText({ state, outcome, code, dead, cancelAskedAt }: InvocationSummary): string {
	if (state !== "settled") return cancelAskedAt === undefined ? state : `${state}, cancelled`;
	const why = code === undefined || code === outcome ? "" : ` (${code})`;
	return `${outcome ?? state}${why}${dead === true ? ", dead letter" : ""}`;
}
