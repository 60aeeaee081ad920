import { InvalidArgumentError } from "commander";
import { expect, test } from "vitest";
import { parseDurationMs, parseTime } from "./durations.js";
import { parseFloors } from "./floors.js";
import { parseCount, parseCpuMilli, parseMemoryMiB } from "./sizes.js";

test.each([
	["500ms", 500],
	["30s", 30_000],
	["1.5m", 90_000],
	["1h", 3_600_000],
	[" 2 s ", 2000],
])("%s is a duration", (text, ms) => expect(parseDurationMs(text)).toBe(ms));

test.each(["5", "", "s", "-1s", "1.0001ms", "1e3s", "5 days"])("%j is no duration, and says what one is", (text) => {
	expect(() => parseDurationMs(text)).toThrow(InvalidArgumentError);
});

test("a time has its zone, or is a duration from now", () => {
	expect(parseTime(" 2026-12-24T18:00:00+01:00 ").toISOString()).toBe("2026-12-24T17:00:00.000Z");
	const beforeMs = Date.now();
	expect(parseTime("2h").getTime()).toBeGreaterThanOrEqual(beforeMs + 7_200_000);
});

test.each(["Dec 24", "5", "2026-11-26 05:00", "2026-12-24T18:00:00"])("%j is no time, however a date could be read into it", (text) => {
	expect(() => parseTime(text)).toThrow(/^A time is as in 2026-12-24T18:00:00Z, or a duration/);
});

test.each([
	["256", 256],
	["256MiB", 256],
	["1g", 1024],
	["0.5GiB", 512],
])("%s is memory", (text, mib) => expect(parseMemoryMiB(text)).toBe(mib));

test.each(["lots", "1.5", "1KiB", "-1"])("%j is no memory", (text) => expect(() => parseMemoryMiB(text)).toThrow(InvalidArgumentError));

test.each([
	["1", 1000],
	["0.5", 500],
	["250m", 250],
])("%s is CPU", (text, milli) => expect(parseCpuMilli(text)).toBe(milli));

test.each(["half", "0.5m", "-1"])("%j is no CPU", (text) => expect(() => parseCpuMilli(text)).toThrow(InvalidArgumentError));

test("a count has a least value, and perhaps a largest", () => {
	expect(parseCount(0)("0")).toBe(0);
	for (const text of ["0", "1.5", "", "ten", "-1"]) expect(() => parseCount(1)(text)).toThrow("from 1 on");
	expect(parseCount(0, 65_535)("65535")).toBe(65_535);
	expect(() => parseCount(0, 65_535)("65536")).toThrow("from 0 to 65535");
});

test("floors are named in any order, measured in one, and a wrong one is told which there are", () => {
	expect(parseFloors("none")).toEqual([]);
	expect(parseFloors("all")).toHaveLength(6);
	expect(parseFloors("crun, node")).toEqual(["node", "crun"]);
	expect(() => parseFloors("node,nod")).toThrow(/no floor nod\. There are: node, crun/);
});
