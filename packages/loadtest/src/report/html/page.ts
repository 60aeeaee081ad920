import type { BenchReport } from "../report.js";
import { reportText } from "../text.js";
import { latencyChart } from "./latency-chart.js";
import { element, escaped } from "./markup.js";
import { phasesChart } from "./phases-chart.js";
import { startsChart } from "./starts-chart.js";

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5d6878; --paper: #ffffff; --line: #e3e7ee; --c0: #2563c9; --c1: #0d8a72; --c2: #c26a12; --c3: #a9b2c0; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #98a3b3; --paper: #14181e; --line: #2a313b; --c0: #6ea2f5; --c1: #3fc2a4; --c2: #e6a04f; --c3: #5b6675; } }
body { font: 16px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); max-width: 820px; margin: 0 auto; padding: 32px 20px 64px; }
h1 { font-size: 24px; margin: 0; }
h2 { font-size: 17px; margin: 44px 0 4px; }
p { color: var(--soft); margin: 0 0 12px; }
svg { display: block; width: 100%; height: auto; font: 12px system-ui, sans-serif; }
svg text { fill: var(--ink); }
svg .tick { fill: var(--soft); }
svg .value { font-variant-numeric: tabular-nums; }
.grid { stroke: var(--line); }
.dot { fill: var(--c0); opacity: 0.22; }
.span { stroke-width: 2; }
.span.ours { stroke: var(--c0); }
.span.floor { stroke: var(--c3); }
.mark.ours { fill: var(--c0); }
.mark.floor { fill: var(--c3); }
.p0 { fill: var(--c0); } .p1 { fill: var(--c1); } .p2 { fill: var(--c2); } .p3 { fill: var(--c3); }
.line { fill: none; stroke-width: 2; }
.l0 { stroke: var(--c0); } .l1 { stroke: var(--c2); }
pre { overflow-x: auto; font: 12.5px/1.5 ui-monospace, monospace; border-top: 1px solid var(--line); padding-top: 16px; }
`;

/** The report as one page that needs nothing else: no script, no font, no request. */
export function reportHtml(report: BenchReport): string {
	const { target, at } = report;
	const title = `${target.function}: cold against warm`;
	const body = [
		element("h1", {}, escaped(title)),
		element("p", {}, escaped(`${target.url}, ${at.slice(0, 16).replace("T", " ")} UTC`)),
		section(
			"Starts",
			"End to end over HTTP, beside programs that are started from nothing. The mark is the median, the line's end p99; the axis is logarithmic.",
			startsChart(report),
		),
		section("Where the time goes", "Medians of the phases. Each kind has an axis of its own length.", phasesChart(report)),
		section("Under load", "Latency by share of answers; the open loop's counts from when each request was due.", latencyChart(report)),
		section("All figures", "", element("pre", {}, escaped(reportText(report)))),
	];
	return `<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escaped(title)}</title><style>${STYLE}</style></head><body>${body.join("")}</body></html>\n`;
}

function section(heading: string, about: string, content: string): string {
	return content === "" ? "" : element("h2", {}, escaped(heading)) + (about === "" ? "" : element("p", {}, escaped(about))) + content;
}
