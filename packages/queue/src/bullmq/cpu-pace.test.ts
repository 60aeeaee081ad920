import { expect, test } from "vitest";
import { paceAfter, wantedShare } from "./cpu-pace.js";

test.each([
	["a full machine has fewer runs at a time", 100, 0.95, 70],
	["but not fewer than keep its cores busy", 5, 1, 4],
	["one with room has more", 100, 0.2, 104],
	["but not more than there are slots", 255, 0.2, 256],
	["in between nothing changes", 100, 0.8, 100],
])("%s", (_, pace, busy, next) => expect(paceAfter(pace, busy, 4, 256)).toBe(next));

test.each([
	["is what it had while CPUs are free", 0.3, 0.6, 0.3],
	["is all where so many compete that it had little", 1 / 8, 4, 1],
	["stays little of one that sleeps, also there", 0.01, 4, 0.08],
])("what a run wants of a CPU %s", (_, had, perCpu, wanted) => expect(wantedShare(had, perCpu)).toBeCloseTo(wanted));
