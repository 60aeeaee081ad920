import { expect, test } from "vitest";
import { paceAfter } from "./cpu-pace.js";

test.each([
	["a full machine has fewer runs at a time", 100, 0.95, 70],
	["but not fewer than keep its cores busy", 5, 1, 4],
	["one with room has more", 100, 0.2, 104],
	["but not more than there are slots", 255, 0.2, 256],
	["in between nothing changes", 100, 0.8, 100],
])("%s", (_, pace, busy, next) => expect(paceAfter(pace, busy, 4, 256)).toBe(next));
