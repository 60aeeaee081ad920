import { BACKGROUND } from "./rows/background.mjs";
import { DEPENDENCIES } from "./rows/dependencies.mjs";
import { ms, rate } from "./rows/figures.mjs";
import { INVOKING } from "./rows/invoking.mjs";
import { NEIGHBOURS } from "./rows/neighbours.mjs";
import { OVERLOAD } from "./rows/overload.mjs";
import { PERSISTENCE } from "./rows/persistence.mjs";
import { SCALE } from "./rows/scale.mjs";
import { STARTS } from "./rows/starts.mjs";
import { STREAMS } from "./rows/streams.mjs";

/**
 * The table of targets, in its order. `measure` gives what a run says of a row: `measured` and `ratio` as text, and
 * whether the target is `met` (undefined for a figure that is only to be said, or that a missing floor leaves open).
 * @typedef {{what: string, target: string, measure: (run: object) => {measured: string, ratio?: string, met?: boolean}}} Target
 * @type {readonly Target[]}
 */
const TARGETS = [...STARTS, ...DEPENDENCIES, ...OVERLOAD, ...NEIGHBOURS, ...STREAMS, ...INVOKING, ...BACKGROUND, ...SCALE, ...PERSISTENCE];

/**
 * The rows of the table of targets.
 * @param {object} [run] what was measured, see scripts/bench.mjs; without it every row says how to measure
 * @param {readonly Target[]} [targets] those of one part alone
 * @returns {{what: string, target: string, measured: string, ratio: string, met: boolean | undefined}[]}
 */
export function rowsOf(run, targets = TARGETS) {
	return targets.map(({ what, target, measure }) => {
		const { measured, ratio = "", met } = run === undefined ? { measured: "(`npm run bench`)" } : measure(run);
		return { what, target, measured, ratio, met: typeof met === "boolean" ? met : undefined };
	});
}

/** The rows as Markdown. */
export function tableOf(rows) {
	const met = (row) => (row.met === undefined ? "" : row.met ? "yes" : "**no**");
	return [
		"| what | target | measured | ratio or peer | met |",
		"| --- | --- | --- | --- | --- |",
		...rows.map((row) => `| ${row.what} | ${row.target} | ${row.measured} | ${row.ratio} | ${met(row)} |`),
	].join("\n");
}

/** The floors of the same run as Markdown. */
export function floorsOf({ skipped, ...floors }) {
	return [
		"| floor | p50 | per second |",
		"| --- | --- | --- |",
		...Object.entries(floors).map(([name, floor]) => `| ${name} | ${ms(floor.p50Ms)} | ${rate(floor.perSecond)} |`),
		...Object.entries(skipped).map(([name, reason]) => `\nFloor ${name}: skipped, ${reason}`),
	].join("\n");
}
