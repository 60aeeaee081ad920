import { DAY_MS, HOUR_MS, MINUTE_MS } from "@berth/contracts";
import { expect, test } from "vitest";
import { makeTraces, type Outcome, shareAt, simulateFixed, simulateHybrid } from "./index.js";

const LENGTH = 3 * DAY_MS;
const traces = makeTraces(6, 250, LENGTH);
const mean = ({ shares }: Outcome) => shares.reduce((sum, share) => sum + share) / shares.length;

test("a trace has the published shares of functions by how often they are invoked, and is the same for its seed", () => {
	const upTo = (aDay: number) => traces.filter(({ length }) => length <= (aDay * LENGTH) / DAY_MS).length / traces.length;
	expect(Math.abs(upTo(24) - 0.45)).toBeLessThan(0.08);
	expect(Math.abs(upTo((DAY_MS / MINUTE_MS) * 0.9) - 0.81)).toBeLessThan(0.08);
	expect(makeTraces(6, 250, LENGTH)).toEqual(traces);
	expect(makeTraces(7, 20, LENGTH)).not.toEqual(traces.slice(0, 20));
});

test("the pool's policy has fewer cold starts than a fixed time that costs as much memory-time", () => {
	const hybrid = simulateHybrid(traces, LENGTH, 20 * MINUTE_MS);
	// The longest fixed time that costs no less.
	const costs = Array.from({ length: 20 }, (_, at) => simulateFixed(traces, LENGTH, (at + 1) * MINUTE_MS));
	const asDear = costs.find(({ idleMs }) => idleMs >= hybrid.idleMs);
	expect(asDear).toBeDefined();
	const fixed = asDear as Outcome;
	expect(hybrid.cold).toBeLessThan(fixed.cold);
	expect(mean(hybrid)).toBeLessThan(mean(fixed) * 0.9);
	expect(shareAt(hybrid, 0.5)).toBeLessThan(shareAt(fixed, 0.5));
});

test("with the same longest time it costs less memory-time, and fewer functions are always cold", () => {
	const ttlMs = 10 * MINUTE_MS;
	const [fixed, hybrid] = [simulateFixed(traces, LENGTH, ttlMs), simulateHybrid(traces, LENGTH, ttlMs)];
	expect(hybrid.idleMs).toBeLessThan(fixed.idleMs);
	const always = ({ shares }: Outcome) => shares.filter((share) => share === 1).length;
	expect(always(hybrid)).toBeLessThan(always(fixed));
});

test("a timer of an hour is cold until its pattern is known, then never, for a third of an hour's memory-time or less", () => {
	const hourly = [Array.from({ length: 72 }, (_, at) => at * HOUR_MS)];
	const [fixed, hybrid] = [simulateFixed(hourly, LENGTH, 10 * MINUTE_MS), simulateHybrid(hourly, LENGTH, 10 * MINUTE_MS)];
	expect([fixed.cold, hybrid.cold]).toEqual([72, 11]);
	expect(hybrid.idleMs).toBeLessThan(fixed.idleMs);
});
