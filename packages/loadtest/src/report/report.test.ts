import { describe, expect, test } from "vitest";
import { SampleSet } from "../starts/sample-set.js";
import { reportHtml } from "./html/page.js";
import { linearScale, logScale } from "./html/scales.js";
import { ratiosOf } from "./ratios.js";
import type { BenchReport } from "./report.js";
import { reportText } from "./text.js";

const PHASES = { queueMs: 0.1, startMs: 2, initMs: 1, runMs: 0.5 };

function figures(kind: "boot" | "prewarmed" | "warm", totalMs: number) {
	const set = new SampleSet(kind);
	for (let i = 0; i < 3; i++) set.add({ totalMs: totalMs + i, version: i, start: kind, phases: PHASES });
	return set.figures();
}

const load = {
	seconds: 1,
	answered: 10,
	perSecond: 10,
	errors: { http_429: 2 },
	p50Ms: 1,
	p90Ms: 2,
	p99Ms: 3,
	maxMs: 4,
	curve: [[0, 1] as const, [1, 4] as const],
};
const REPORT: BenchReport = {
	schema: 1,
	at: "2026-11-24T10:00:00.000Z",
	target: { url: "http://h:1", function: "<b>&", distinctBy: "source", sourceBytes: 120 },
	machine: { cpu: "a CPU", cores: 2, memoryBytes: 1, kernel: "6.1", node: "v24.0.0" },
	starts: {
		boot: figures("boot", 80),
		prewarmed: figures("prewarmed", 6),
		warm: figures("warm", 1),
		frozen: figures("warm", 2),
		idleMs: 200,
	},
	load: { one: load, closed: { ...load, connections: 32 }, open: { ...load, ratePerSecond: 100 } },
	floors: { node: { n: 3, p50Ms: 20, p90Ms: 21, p99Ms: 22, maxMs: 23, perSecond: 60 }, skipped: { docker: "no daemon answers" } },
	ratios: { prewarmedToNode: 0.35, prewarmedWorkerToDocker: 0.02 },
};

describe("samples", () => {
	test("of another kind than wanted are counted, and not measured", () => {
		const set = new SampleSet("prewarmed");
		expect(set.add({ totalMs: 1, version: 1, start: "warm", phases: PHASES })).toBe(false);
		expect(set.add({ totalMs: 5, version: 2, start: "prewarmed", phases: PHASES })).toBe(true);
		expect(set.figures()).toMatchObject({ n: 1, p50Ms: 5, discarded: { warm: 1 }, worker: { p50Ms: 3.5 } });
	});
});

describe("ratios", () => {
	test("are there when both of their parts were measured", () => {
		const { starts, load: loads, floors } = REPORT as Required<BenchReport>;
		expect(ratiosOf({ starts, load: loads, floors })).toEqual({ prewarmedToWarm: 3.5, frozenToWarm: 1.5, prewarmedToNode: 0.35 });
		expect(ratiosOf({ floors })).toEqual({});
	});
});

describe("the text", () => {
	test("says every start kind, load, floor and ratio, what failed and what was skipped", () => {
		const text = reportText(REPORT);
		for (const part of [
			"boot",
			"prewarmed",
			"warm",
			"frozen",
			"closed loop, 1 connection",
			"closed loop, 32 connections",
			"open loop, 100/s",
			"2 http_429",
			"node -e 0",
			"1/50",
			"no daemon answers",
		]) {
			expect(text).toContain(part);
		}
	});

	test("is as short as what was measured", () => {
		const { starts: _, load: __, ...rest } = REPORT;
		expect(reportText({ ...rest, floors: { skipped: {} }, ratios: {} })).toBe(
			"<b>& at http://h:1, 120 bytes of source\n2 × a CPU, Linux 6.1, Node 24.0.0\n",
		);
	});
});

describe("the page", () => {
	test("needs nothing from elsewhere, and what it is told is no markup", () => {
		const html = reportHtml(REPORT);
		expect(html).not.toMatch(/<script|<link|@import|url\(|src=/);
		expect(html).not.toContain("<b>");
		expect(html).toContain("&#60;b&#62;&#38;");
		expect(html.match(/<svg/g)).toHaveLength(3);
		expect(html).not.toContain("NaN");
	});
});

describe("a start kind that couldn't be had", () => {
	const starts = { ...(REPORT.starts as Required<BenchReport>["starts"]), boot: new SampleSet("boot").figures() };

	test("has dashes in the table and no place in the charts", () => {
		const report = { ...REPORT, starts };
		expect(reportText(report)).toMatch(/^boot +0( +-){9}$/m);
		const html = reportHtml(report);
		expect(html).not.toMatch(/NaN|Infinity/);
		expect(html).not.toContain(">boot</text>");
		expect(html).toContain(">prewarmed</text>");
	});
});

describe("scales", () => {
	test("a logarithmic one has its values inside and round ends", () => {
		const scale = logScale([1.2, 85], 0, 100);
		expect(scale.ticks).toEqual([1, 2, 5, 10, 20, 50, 100]);
		expect(scale.at(1)).toBe(0);
		expect(scale.at(10)).toBeCloseTo(50);
		expect(scale.at(100)).toBe(100);
	});

	test.each([0.0037, 1.84, 3.96, 85, 1234])("a linear one up to %d has few ticks, the last at or above it", (most) => {
		const { ticks, at } = linearScale(most, 0, 100);
		expect(ticks.length).toBeLessThanOrEqual(8);
		expect(ticks.at(-1)).toBeGreaterThanOrEqual(most);
		expect(at(ticks.at(-1) as number)).toBeCloseTo(100);
	});
});
