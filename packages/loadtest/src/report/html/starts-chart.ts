import { type BenchReport, type ProgramFloor, STARTS } from "../report.js";
import { drawing, element, text } from "./markup.js";
import { logScale, msLabel } from "./scales.js";

interface Row {
	readonly name: string;
	readonly ours: boolean;
	readonly p50Ms: number;
	readonly p99Ms: number;
	readonly samplesMs: readonly number[];
}

const WIDTH = 760;
const LEFT = 150;
const RIGHT = 70;
const ROW = 34;
const BOTTOM = 28;

/** Every start and every program that is a floor on one time axis: samples as dots, the median as a mark, p99 as the line's end. */
export function startsChart(report: BenchReport): string {
	const rows = rowsOf(report);
	if (rows.length === 0) return "";
	const height = rows.length * ROW + BOTTOM;
	const scale = logScale(
		rows.flatMap((row) => [row.p50Ms, row.p99Ms, ...row.samplesMs]),
		LEFT,
		WIDTH - RIGHT,
	);
	const grid = scale.ticks.map(
		(tick) =>
			element("line", { class: "grid", x1: scale.at(tick), x2: scale.at(tick), y1: 4, y2: height - BOTTOM }) +
			text(scale.at(tick), height - 8, msLabel(tick), { class: "tick", "text-anchor": "middle" }),
	);
	const drawn = rows.map((row, index) => drawRow(row, index * ROW + ROW / 2, scale.at));
	return drawing(WIDTH, height, "Starts and floors on one time axis", grid.join("") + drawn.join(""));
}

function rowsOf({ starts, floors }: BenchReport): readonly Row[] {
	const ours = STARTS.flatMap((name): readonly Row[] =>
		starts === undefined || starts[name].n === 0 ? [] : [{ name, ours: true, ...starts[name] }],
	);
	const programs: readonly (readonly [string, ProgramFloor | undefined])[] = [
		["node -e 0", floors.node],
		["crun run", floors.crun],
		["runc run", floors.runc],
		["docker run", floors.docker],
	];
	return [
		...ours,
		...programs.flatMap(([name, floor]): readonly Row[] => (floor === undefined ? [] : [{ name, ours: false, samplesMs: [], ...floor }])),
	];
}

function drawRow(row: Row, y: number, at: (ms: number) => number): string {
	const kind = row.ours ? "ours" : "floor";
	const dots = row.samplesMs.map((ms, index) => element("circle", { class: "dot", cx: at(ms), cy: y + (((index * 7) % 11) - 5), r: 2 }));
	return (
		text(LEFT - 12, y + 4, row.name, { class: "name", "text-anchor": "end" }) +
		dots.join("") +
		element("line", { class: `span ${kind}`, x1: at(row.p50Ms), x2: at(row.p99Ms), y1: y, y2: y }) +
		element(
			"circle",
			{ class: `mark ${kind}`, cx: at(row.p50Ms), cy: y, r: 5.5 },
			element("title", {}, `p50 ${row.p50Ms} ms, p99 ${row.p99Ms} ms`),
		) +
		text(WIDTH - RIGHT + 10, y + 4, `${row.p50Ms < 10 ? row.p50Ms.toFixed(2) : row.p50Ms.toFixed(0)} ms`, { class: "value" })
	);
}
