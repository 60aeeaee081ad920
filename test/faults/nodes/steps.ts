import fc from "fast-check";
import type { Deed, Lane } from "../delivery/history.js";

/** What a client does, and how long it waits before it goes on. `burst`: several in the background at once. */
export interface Step {
	readonly what: "invoke" | "invoke-with-key" | "background" | "burst" | "later" | "cancel" | "watch";
	readonly deed: Exclude<Deed, "crash">;
	readonly gateway: number;
	readonly waitMs: number;
}

export const laneOf = ({ what }: Step): Lane => (what === "invoke" || what === "invoke-with-key" ? "interactive" : "background");

type Weights<T> = readonly (readonly [weight: number, value: T])[];

/** All that clients do. */
const EVERYTHING: Weights<Step["what"]> = [
	[8, "invoke"],
	[2, "invoke-with-key"],
	[6, "background"],
	[1, "later"],
	[1, "cancel"],
	[2, "watch"],
];
const DEEDS: Weights<Step["deed"]> = [
	[30, "succeed"],
	[8, "sleep"],
	[3, "fail-once"],
	[1, "fail"],
	[1, "crash-once"],
];
/** For a function with fewer places than clients: some of them always wait, in the hands of its nodes. */
const QUEUEING: Weights<Step["what"]> = [[1, "invoke"]];
/** What takes little: most of it is the platform's. */
const MUCH: Weights<Step["what"]> = [[1, "burst"]];
const LITTLE: Weights<Step["deed"]> = [
	[60, "succeed"],
	[1, "fail-once"],
];

/** Kinds of clients, each with a function of its own. */
export const CLIENTS = {
	all: { whats: EVERYTHING, deeds: DEEDS, waitMs: 20 },
	queueing: { whats: QUEUEING, deeds: [[1, "sleep"]] as Weights<Step["deed"]>, waitMs: 20 },
	bursts: { whats: MUCH, deeds: LITTLE, waitMs: 400 },
} as const;
export type ClientKind = keyof typeof CLIENTS;

/** What a client does, one after another: the same for the same seed. */
export function stepsOf(seed: number, kind: ClientKind, gateways: number, count: number): readonly Step[] {
	const { whats, deeds, waitMs } = CLIENTS[kind];
	const one = fc.record({
		what: weighed(whats),
		deed: weighed(deeds),
		gateway: fc.integer({ min: 0, max: gateways - 1 }),
		waitMs: fc.integer({ min: 0, max: waitMs }),
	});
	return fc.sample(one, { seed, numRuns: count });
}

function weighed<T>(choices: Weights<T>): fc.Arbitrary<T> {
	return fc.oneof(...choices.map(([weight, value]) => ({ weight, arbitrary: fc.constant(value) })));
}
