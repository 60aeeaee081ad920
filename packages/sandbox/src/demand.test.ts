import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Demand, type Waiter } from "./demand.js";
import { ROOT } from "./nesting.js";
import { version } from "./testing/versions.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

const waiter = (sinceMs: number): Waiter => ({ sinceMs, nesting: ROOT, resolve: () => undefined, reject: () => undefined });

function waiting(...since: readonly number[]): { readonly demand: Demand; readonly waiters: readonly Waiter[] } {
	const demand = new Demand(version("hello"));
	const waiters = since.map(waiter);
	for (const each of waiters) demand.add(each);
	return { demand, waiters };
}

test("who waits longest is served first, and who went away isn't served", () => {
	const { demand, waiters } = waiting(1, 2, 3);
	expect(demand.first?.sinceMs).toBe(1);
	demand.remove(waiters[0] as Waiter);
	demand.remove(waiters[0] as Waiter);
	expect([demand.next(), demand.next(), demand.next()]).toEqual([waiters[1], waiters[2], undefined]);
	expect(demand.first).toBeUndefined();
});

test("a start under way is for the first who wait: the next start is for whoever is behind them", () => {
	const { demand, waiters } = waiting(1, 2, 3);
	demand.starting = 2;
	expect(demand.unserved).toBe(waiters[2]);
	expect(waiters.map((each) => demand.isStartingFor(each))).toEqual([true, true, false]);
	demand.starting = 3;
	expect(demand.unserved).toBeUndefined();
	expect(demand.isStartingFor(waiter(4))).toBe(false);
});

test("it is quiet when nobody waits and nothing serves it", () => {
	const { demand } = waiting(1);
	expect(demand.quiet).toBe(false);
	demand.next();
	expect(demand.quiet).toBe(true);
	demand.begin();
	expect(demand.quiet).toBe(false);
});

test("nobody's turn comes while nothing serves it; otherwise turns are as long as runs are and shared by who serves", () => {
	const { demand } = waiting(1, 2, 3, 4);
	expect(demand.expectedWaitMs()).toBe(Number.POSITIVE_INFINITY);
	demand.begin();
	demand.starting = 1;
	demand.ran(100, 1);
	expect(demand.expectedWaitMs()).toBe(200);
});

test("the newest runs move what a run is taken to need, one of them not far", () => {
	const { demand } = waiting(1);
	demand.begin();
	demand.ran(100, 100);
	demand.ran(200, 0);
	expect(demand.expectedWaitMs()).toBeCloseTo(110);
	expect(demand.cpuShare).toBeCloseTo(90 / 110);
	for (let i = 0; i < 50; i++) demand.ran(200, 0);
	expect(demand.expectedWaitMs()).toBeCloseTo(200, 0);
	expect(demand.cpuShare).toBeCloseTo(0, 1);
});

test("what isn't known yet is taken to compute all the time, also when it took no time", () => {
	const { demand } = waiting();
	expect(demand.cpuShare).toBe(1);
	demand.ran(0, 0);
	expect(demand.cpuShare).toBe(0);
});

test("it is looked at again once, however often that is asked for, and not when it is forgotten", () => {
	const { demand } = waiting();
	const look = vi.fn();
	demand.lookAgainIn(50, look);
	demand.lookAgainIn(10, look);
	vi.advanceTimersByTime(49);
	expect(look).not.toHaveBeenCalled();
	vi.advanceTimersByTime(1);
	expect(look).toHaveBeenCalledTimes(1);
	demand.lookAgainIn(5, look);
	demand.forget();
	vi.advanceTimersByTime(100);
	expect(look).toHaveBeenCalledTimes(1);
});

test("only a run that is short so far is soon over, of a version whose runs were, and nobody knows it of what `waitUntil` holds", () => {
	const { demand } = waiting();
	const [first, second] = [demand.begin(), demand.begin()];
	expect(demand.backSoon).toBe(0);
	demand.ran(10, 1);
	expect(demand.backSoon).toBe(2);
	first.goesOn = true;
	expect(demand.backSoon).toBe(1);
	vi.advanceTimersByTime(1001);
	expect(demand.backSoon).toBe(0);
	demand.end(first);
	demand.end(second);
	demand.begin();
	expect([demand.busy, demand.backSoon]).toEqual([1, 1]);
});
