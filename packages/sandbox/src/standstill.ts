import type { Demand, Run, Waiter } from "./demand.js";
import { standsStill } from "./refusals.js";
import type { Sandbox } from "./sandbox.js";

/** What a version's next sandbox lacks. */
export type Lack = "memory" | "concurrency";

export interface StandstillParts {
	readonly demands: () => readonly Demand[];
	/** Whether a version found no room the last time that it asked. */
	readonly lacksMemory: (demand: Demand) => boolean;
	readonly sandboxes: () => readonly Sandbox[];
}

/**
 * Finds invocations that wait for their own end: what they lack is held by runs that wait for others, of which they are one. They
 * would wait until their time is over. The last of them is told so at once; with it ends what waits for it, and the others go on.
 */
export class Standstill {
	readonly #parts: StandstillParts;

	constructor(parts: StandstillParts) {
		this.#parts = parts;
	}

	/** A version lacks something for its next sandbox: ends the wait of one of its waiters, when that is for its own end. */
	refuse(demand: Demand, lack: Lack): void {
		const waiter = demand.allWaiters.findLast(({ nesting }, at) => nesting.depth > 0 && at >= demand.starting);
		if (waiter === undefined) return;
		const demands = this.#parts.demands();
		if (this.#comesFree(demand, lack, demands) || !isAtStandstill(waiter, demands, (one) => this.#holdersOf(one, demands))) return;
		demand.remove(waiter);
		waiter.reject(standsStill(demand, lack));
	}

	/** Whether it can be seen at once that somebody gives back what is lacked. */
	#comesFree(demand: Demand, lack: Lack, demands: readonly Demand[]): boolean {
		if (lack === "concurrency") return demand.able > 0;
		return demands.some(({ able }) => able > 0) || this.#parts.sandboxes().some(isOnTheWay);
	}

	/** Which runs hold what a version's waiters lack; undefined when they lack nothing. */
	#holdersOf(demand: Demand, demands: readonly Demand[]): readonly Run[] | undefined {
		if (demand.starting > 0) return undefined;
		if (demand.serving >= demand.target.manifest.concurrency) return [...demand.allRuns];
		return this.#parts.lacksMemory(demand) ? demands.flatMap(({ allRuns }) => [...allRuns]) : undefined;
	}
}

/** Whether a sandbox is about to rest, to run or to be gone, or builds something: whoever asks for memory is told when it has. */
function isOnTheWay({ state, bootKey }: Sandbox): boolean {
	if (state === "busy") return bootKey.kind !== "function";
	return state === "booting" || state === "specialising" || state === "retiring";
}

/**
 * Whether a waiter waits for its own end. A run goes on when everything that it waits for does; what it waits for and isn't here
 * (yet) is taken to. A waiter goes on when one of those does that hold what it lacks.
 */
function isAtStandstill(waiter: Waiter, demands: readonly Demand[], holdersOf: (demand: Demand) => readonly Run[] | undefined): boolean {
	const going = new Set<Run | Waiter>();
	const children = childrenOf(demands);
	const goesOn = (run: Run) => {
		const awaited = children.get(run.nesting.invocation) ?? [];
		return awaited.length < run.waitsFor || awaited.every((child) => going.has(child));
	};
	for (let before = -1; before < going.size; ) {
		before = going.size;
		for (const demand of demands) {
			for (const run of demand.allRuns) if (run.waitsFor === 0 || goesOn(run)) going.add(run);
			const holders = holdersOf(demand);
			if (holders?.every((run) => !going.has(run)) === true) continue;
			for (const one of demand.allWaiters) going.add(one);
		}
		if (going.has(waiter)) return false;
	}
	return true;
}

function childrenOf(demands: readonly Demand[]): ReadonlyMap<string, readonly (Run | Waiter)[]> {
	const children = new Map<string, (Run | Waiter)[]>();
	for (const demand of demands) {
		for (const one of [...demand.allRuns, ...demand.allWaiters]) {
			const { parent } = one.nesting;
			if (parent === undefined) continue;
			const known = children.get(parent);
			if (known === undefined) children.set(parent, [one]);
			else known.push(one);
		}
	}
	return children;
}
