import { DAY_MS, MINUTE_MS } from "@berth/contracts";
import { describe, expect, test } from "vitest";
import { Rhythms } from "./rhythms.js";

const TTL = 10 * MINUTE_MS;
const of = { project: "p", function: "f", version: 1 };

/** Invoked every half hour, a minute long each, twenty times. @returns when it ended last */
function everyHalfHour(rhythms: Rhythms, names = of): number {
	let endedMs = 0;
	for (let at = 0; at < 20; at++) {
		rhythms.began(names, at * 31 * MINUTE_MS);
		endedMs = at * 31 * MINUTE_MS + MINUTE_MS;
		rhythms.ended(names, endedMs);
	}
	return endedMs;
}

describe("a function that is invoked every half hour", () => {
	test("is let go after a run, is foreseen shortly before the next until there is a sandbox for it, and kept shortly beyond it", () => {
		const rhythms = new Rhythms(TTL);
		const endedMs = everyHalfHour(rhythms);
		expect(rhythms.freeAtMs(of, endedMs, false)).toBe(endedMs);
		expect(rhythms.foreseen(endedMs + 26 * MINUTE_MS)).toEqual([]);
		expect(rhythms.foreseen(endedMs + 27 * MINUTE_MS)).toEqual([of]);
		expect(rhythms.foreseen(endedMs + 28 * MINUTE_MS)).toEqual([of]);
		rhythms.startedFor(of);
		expect(rhythms.foreseen(endedMs + 29 * MINUTE_MS)).toEqual([]);
		const startedMs = endedMs + 27 * MINUTE_MS;
		expect(rhythms.freeAtMs(of, startedMs, true)).toBeCloseTo(endedMs + 34.1 * MINUTE_MS);
	});

	test("isn't foreseen while it runs, nor when its window is over", () => {
		const rhythms = new Rhythms(TTL);
		const endedMs = everyHalfHour(rhythms);
		expect(rhythms.foreseen(endedMs + 35 * MINUTE_MS)).toEqual([]);
		rhythms.began(of, endedMs + 40 * MINUTE_MS);
		expect(rhythms.foreseen(endedMs + 70 * MINUTE_MS)).toEqual([]);
		rhythms.ended(of, endedMs + 71 * MINUTE_MS);
		expect(rhythms.foreseen(endedMs + 98 * MINUTE_MS)).toEqual([of]);
	});

	test("keeps what it has while another of its invocations runs", () => {
		const rhythms = new Rhythms(TTL);
		const endedMs = everyHalfHour(rhythms);
		rhythms.began(of, endedMs);
		rhythms.began(of, endedMs);
		rhythms.ended(of, endedMs + 1);
		expect(rhythms.freeAtMs(of, endedMs + 1, false)).toBe(endedMs + 1 + TTL);
	});

	test("has its pattern whatever version it is, and other projects' functions of its name don't", () => {
		const rhythms = new Rhythms(TTL);
		const endedMs = everyHalfHour(rhythms);
		expect(rhythms.windowsOf({ ...of, version: 2 }).by).toBe("pattern");
		expect(rhythms.windowsOf({ ...of, project: "q" }).by).toBe("standard");
		rhythms.began({ ...of, version: 2 }, endedMs + 30 * MINUTE_MS);
		rhythms.ended({ ...of, version: 2 }, endedMs + 31 * MINUTE_MS);
		expect(rhythms.foreseen(endedMs + 58 * MINUTE_MS)).toEqual([{ ...of, version: 2 }]);
	});
});

describe("what is remembered", () => {
	test("has nothing of a version but its names: not its secrets", () => {
		const rhythms = new Rhythms(TTL);
		const told = { ...of, secrets: { values: { KEY: "hush" } } };
		const endedMs = everyHalfHour(rhythms, told);
		expect(rhythms.foreseen(endedMs + 28 * MINUTE_MS)).toEqual([of]);
	});

	test("goes after a week", () => {
		const rhythms = new Rhythms(TTL);
		const endedMs = everyHalfHour(rhythms);
		rhythms.forgetOld(endedMs + 7 * DAY_MS);
		expect(rhythms.windowsOf(of).by).toBe("pattern");
		rhythms.forgetOld(endedMs + 7 * DAY_MS + 1);
		expect(rhythms.windowsOf(of).by).toBe("standard");
	});

	test("is of ten thousand functions, those that were invoked last", () => {
		const rhythms = new Rhythms(TTL);
		const endedMs = everyHalfHour(rhythms);
		const newer = { ...of, function: "newer" };
		everyHalfHour(rhythms, newer);
		rhythms.began(newer, endedMs + 30 * MINUTE_MS);
		rhythms.ended(newer, endedMs + 31 * MINUTE_MS);
		for (let at = 0; at < 9_999; at++) {
			rhythms.began({ ...of, function: `f${at}` }, endedMs + MINUTE_MS);
			rhythms.ended({ ...of, function: `f${at}` }, endedMs + 2 * MINUTE_MS);
		}
		rhythms.forgetOld(endedMs + 31 * MINUTE_MS);
		expect([rhythms.windowsOf(newer).by, rhythms.windowsOf(of).by]).toEqual(["pattern", "standard"]);
	});
});
