import { type BenchReport, STARTS } from "../report.js";
import { drawing, element, text } from "./markup.js";
import { linearScale, msLabel } from "./scales.js";

const WIDTH = 760;
const LEFT = 150;
const RIGHT = 20;
const ROW = 40;
const BAR = 20;
const TOP = 28;
const BOTTOM = 28;

const PARTS = ["start", "init", "run", "queue and HTTP"] as const;

/** Where the median of each start kind goes. Each kind has an axis of its own length: they differ by a hundredfold. */
export function phasesChart({ starts }: BenchReport): string {
	const measured = STARTS.filter((name) => (starts?.[name].n ?? 0) > 0);
	if (starts === undefined || measured.length === 0) return "";
	const height = TOP + measured.length * (ROW + BOTTOM);
	const legend = PARTS.map(
		(part, index) =>
			element("rect", { class: `part p${index}`, x: LEFT + index * 130, y: 4, width: 12, height: 12, rx: 2 }) +
			text(LEFT + 18 + index * 130, 14, part, { class: "tick" }),
	);
	const rows = measured.map((name, index) => {
		const { phases, p50Ms, worker } = starts[name];
		const parts = [phases.startMs, phases.initMs, phases.runMs, Math.max(0, p50Ms - worker.p50Ms)];
		return drawRow(name, parts, TOP + index * (ROW + BOTTOM));
	});
	return drawing(WIDTH, height, "Where the median of each start kind goes", legend.join("") + rows.join(""));
}

function drawRow(name: string, parts: readonly number[], y: number): string {
	const total = parts.reduce((sum, part) => sum + part, 0);
	const scale = linearScale(total, LEFT, WIDTH - RIGHT);
	let from = 0;
	const bars = parts.map((part, index) => {
		const x = scale.at(from);
		from += part;
		const title = element("title", {}, `${PARTS[index]}: ${part.toFixed(2)} ms`);
		return part === 0
			? ""
			: element("rect", { class: `part p${index}`, x, y: y + 8, width: Math.max(1, scale.at(from) - x - 1), height: BAR, rx: 2 }, title);
	});
	const ticks = scale.ticks.map((tick) =>
		text(scale.at(tick), y + 8 + BAR + 16, msLabel(tick), { class: "tick", "text-anchor": "middle" }),
	);
	return text(LEFT - 12, y + 8 + BAR / 2 + 4, name, { class: "name", "text-anchor": "end" }) + bars.join("") + ticks.join("");
}
