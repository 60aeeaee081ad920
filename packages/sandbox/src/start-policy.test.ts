import { expect, test } from "vitest";
import type { CpuLoad } from "./cpu-load.js";
import { Demand } from "./demand.js";
import { ROOT } from "./nesting.js";
import { startsIn } from "./start-policy.js";
import { version } from "./testing/versions.js";

const CORES = 2;
const IDLE = { saturated: false } as CpuLoad;
const SATURATED = { saturated: true } as CpuLoad;

interface Burst {
	readonly callers: number;
	readonly runMs: number;
	readonly cpuMs: number;
	readonly cpu?: CpuLoad;
	/** Whether an attempt was seen before. */
	readonly known?: boolean;
}

/** What a start takes here, milliseconds. */
const START_MS = 50;

/** How many sandboxes serve a burst, millisecond by millisecond, when callers ask again as soon as they are answered. */
function serving({ callers, runMs, cpuMs, cpu = IDLE, known = true }: Burst, forMs: number): readonly number[] {
	const demand = new Demand(version("hello"));
	if (known) demand.ran(runMs, cpuMs);
	const sandboxes: { state: "starting" | "idle" | "running"; untilMs: number }[] = [];
	const asking = Array.from({ length: callers }, () => 0);
	const counts: number[] = [];
	for (let now = 0; now <= forMs; now++) {
		for (const sinceMs of asking.filter((at) => at === now))
			demand.add({ sinceMs, nesting: ROOT, resolve: () => undefined, reject: () => undefined });
		for (const sandbox of sandboxes.filter(({ untilMs }) => untilMs <= now)) {
			if (sandbox.state === "starting") {
				demand.starting--;
				demand.begin();
			} else if (sandbox.state === "running") {
				// Who computes beside more of its kind than there are cores has its part of them.
				demand.ran((cpuMs / runMs) * demand.serving > CORES ? (runMs * demand.serving) / CORES : runMs, cpuMs, cpu.saturated);
			}
			sandbox.state = demand.next() === undefined ? "idle" : "running";
			if (sandbox.state === "idle") continue;
			sandbox.untilMs = now + runMs;
			asking.push(now + runMs);
		}
		for (let next = demand.unserved; next !== undefined; next = demand.unserved) {
			if (startsIn(demand, now - next.sinceMs, "boot", CORES, cpu) > 0) break;
			demand.starting++;
			sandboxes.push({ state: "starting", untilMs: now + START_MS });
		}
		counts.push(demand.serving);
	}
	return counts;
}

test("the first who comes gets a start at once", () => {
	expect(serving({ callers: 1, runMs: 1000, cpuMs: 0 }, 0)).toEqual([1]);
});

test("a burst of short runs is served by few sandboxes", () => {
	expect(serving({ callers: 50, runMs: 1, cpuMs: 1 }, 2000).at(-1)).toBeLessThanOrEqual(CORES);
});

test("runs that are shorter than what handing them out takes have one sandbox", () => {
	expect(serving({ callers: 50, runMs: 1, cpuMs: 1 }, 100).at(-1)).toBe(1);
});

test("a burst of what isn't known yet gets as many as there are cores, and no more at once", () => {
	const counts = serving({ callers: 50, runMs: 1, cpuMs: 1, known: false }, 40);
	expect(counts.at(-1)).toBeLessThanOrEqual(CORES);
});

test("a burst of sleepers gets many, about doubling with each start", () => {
	const counts = serving({ callers: 40, runMs: 5000, cpuMs: 1 }, 2500);
	expect(counts.at(-1)).toBeGreaterThanOrEqual(30);
	for (const [now, count] of counts.entries()) {
		if (now > START_MS) expect(count).toBeLessThanOrEqual(Math.max(CORES, 2 * (counts[now - START_MS] as number)));
	}
});

test("what computes on a machine that has nothing left gets more only slowly; sleepers aren't held up by that", () => {
	const computing = serving({ callers: 40, runMs: 5000, cpuMs: 5000, cpu: SATURATED }, 900).at(-1) as number;
	const sleeping = serving({ callers: 40, runMs: 5000, cpuMs: 1, cpu: SATURATED }, 900).at(-1) as number;
	expect(computing).toBeLessThanOrEqual(CORES);
	expect(sleeping).toBeGreaterThan(CORES);
});

test("what computes gets no more than help, however long a flood of it lasts", () => {
	const flood = serving({ callers: 500, runMs: 20, cpuMs: 20, cpu: SATURATED, known: false }, 30_000);
	expect(Math.max(...flood)).toBeLessThanOrEqual(2 * CORES);
	const tenth = serving({ callers: 500, runMs: 200, cpuMs: 20, cpu: SATURATED }, 30_000);
	expect(Math.max(...tenth)).toBeGreaterThan(10);
	expect(Math.max(...tenth)).toBeLessThanOrEqual(20 * CORES);
});

test("what is used once has a start for everybody, a few at a time", () => {
	const demand = new Demand(version("once", { reuse: "never" }));
	demand.ran(1, 1);
	for (let i = 0; i < 10; i++) demand.begin();
	expect(startsIn(demand, 0, "boot", CORES, SATURATED)).toBe(0);
	demand.starting = 2 * CORES;
	expect(startsIn(demand, 0, "boot", CORES, IDLE)).toBeGreaterThan(0);
});

test("it always says when to look again: never in no time, never not at all", () => {
	const demand = new Demand(version("hello"));
	for (let i = 0; i < 4; i++) demand.begin();
	for (const waitedMs of [0, 1, 100, 199]) {
		const inMs = startsIn(demand, waitedMs, "prewarmed", CORES, IDLE);
		expect(inMs).toBeGreaterThan(0);
		expect(inMs).toBeLessThanOrEqual(1000);
	}
});
