import type { StartKind } from "@berth/contracts";
import type { CpuLoad } from "./cpu-load.js";
import type { Demand } from "./demand.js";
import { usesOf } from "./uses.js";

/** What a start is expected to cost, milliseconds. */
const START_MS = { prewarmed: 5, boot: 60 } as const satisfies Record<Exclude<StartKind, "warm">, number>;
/** Starts at a time of what is never reused. */
const STARTS_PER_CORE = 2;
/** One sandbox takes runs this short as fast as its node can hand them out: another only makes the caches colder. */
const SHORT_RUN_MS = 2;
/** Beyond one sandbox per core a waiter waits at least so long: by then it shows whether the CPUs have anything to give. */
const BEYOND_CORES_MS = 200;
/** Where they haven't, another sandbox for something that computes only makes all of them slower. */
const SATURATED_MS = 1000;
/** Attempts that compute for less of their time than this sleep for the rest. */
const SLEEPS_BELOW = 0.05;
/** So much computing for each core is all that can help: beyond it, with CPUs that have nothing left, a flood would only start sandboxes, and run nothing. */
const COMPUTING_PER_CORE = 2;

/**
 * Whether one more sandbox is started for a version now, for a waiter who has waited so long. The
 * first as many as there are cores are started when that serves sooner than waiting does, unless runs
 * are too short for a second one to help; the others by what has come to pass, at most doubling: a
 * burst of short runs is served by few sandboxes, one of long sleeps gets many.
 * @returns milliseconds after which to ask again; 0 when one is started
 */
export function startsIn(demand: Demand, waitedMs: number, kind: Exclude<StartKind, "warm">, cores: number, cpu: CpuLoad): number {
	const { able } = demand;
	if (able === 0) return 0;
	// Nobody gets a sandbox after somebody else: everybody has a start of their own, as many at a time as there is CPU for.
	if (usesOf(demand.target.manifest) === 1) return demand.starting < STARTS_PER_CORE * cores ? 0 : START_MS.prewarmed;
	if (able < cores && demand.runMs >= SHORT_RUN_MS)
		return demand.expectedWaitMs() >= START_MS[kind] ? 0 : Math.max(0, START_MS[kind] - waitedMs);
	const patience = cpu.saturated && demand.cpuShare >= SLEEPS_BELOW ? SATURATED_MS : Math.max(BEYOND_CORES_MS, START_MS[kind]);
	if (cpu.saturated && able * demand.cpuShare >= COMPUTING_PER_CORE * cores) return SATURATED_MS;
	if (demand.starting >= demand.busy) return BEYOND_CORES_MS;
	return Math.max(0, patience - waitedMs);
}
