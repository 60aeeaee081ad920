import type { BenchReport, LoadFigures } from "../report.js";
import { drawing, element, text } from "./markup.js";
import { logScale, msLabel } from "./scales.js";

const WIDTH = 760;
const HEIGHT = 300;
const LEFT = 60;
const RIGHT = 150;
const TOP = 14;
const BOTTOM = 32;

/** Shares at which the axis is marked; it gives every further nine the same room. */
const MARKS = [0, 0.5, 0.9, 0.99, 0.999, 0.9999];
const MOST = 0.9999;

/** Latency by share of answers under each load. */
export function latencyChart({ load }: BenchReport): string {
	if (load === undefined || load.open.answered === 0 || load.closed.answered === 0) return "";
	const y = logScale(
		[...load.open.curve, ...load.closed.curve].map(([, ms]) => ms),
		HEIGHT - BOTTOM,
		TOP,
	);
	const grid = y.ticks.map(
		(tick) =>
			element("line", { class: "grid", x1: LEFT, x2: WIDTH - RIGHT, y1: y.at(tick), y2: y.at(tick) }) +
			text(LEFT - 8, y.at(tick) + 4, msLabel(tick), { class: "tick", "text-anchor": "end" }),
	);
	const marks = MARKS.map((share) =>
		text(xOf(share), HEIGHT - 10, `${Number((share * 100).toFixed(2))} %`, { class: "tick", "text-anchor": "middle" }),
	);
	const lines = [
		drawLine(load.open, `open, ${load.open.ratePerSecond}/s`, "l0", y.at),
		drawLine(load.closed, `closed, ${load.closed.connections} connections`, "l1", y.at),
	];
	return drawing(WIDTH, HEIGHT, "Latency by share of answers", grid.join("") + marks.join("") + lines.join(""));
}

function drawLine({ curve }: LoadFigures, name: string, kind: string, at: (ms: number) => number): string {
	const points = curve.filter(([share]) => share <= MOST).map(([share, ms]) => [xOf(share), at(ms)] as const);
	const [x = 0, y = 0] = points.at(-1) ?? [];
	const path = points.map(([px, py]) => `${px.toFixed(1)},${py.toFixed(1)}`).join(" ");
	return element("polyline", { class: `line ${kind}`, points: path }) + text(x + 8, y + 4, name, { class: "name" });
}

function xOf(share: number): number {
	const nines = -Math.log10(1 - Math.min(share, MOST));
	return LEFT + (nines / -Math.log10(1 - MOST)) * (WIDTH - RIGHT - LEFT);
}
