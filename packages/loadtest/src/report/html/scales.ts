/** Maps values to pixels, with the values worth a grid line. */
export interface Scale {
	readonly at: (value: number) => number;
	readonly ticks: readonly number[];
}

const DECADE_STEPS = [1, 2, 5];
/** More labels than this run into each other. */
const MOST_STEPS = 7;
const MOST_LOG_TICKS = 10;

/** A logarithmic scale over all of the values (positive ones): its ends are 1, 2 or 5 times a power of ten. */
export function logScale(values: readonly number[], from: number, to: number): Scale {
	const positive = values.filter((value) => value > 0);
	const steps = stepsBetween(Math.min(...positive, 1), Math.max(...positive, 1));
	const low = Math.log(steps[0] as number);
	const span = Math.log(steps.at(-1) as number) - low || 1;
	const at = (value: number) => from + ((Math.log(Math.max(value, steps[0] as number)) - low) / span) * (to - from);
	return { at, ticks: steps.length > MOST_LOG_TICKS ? steps.filter((step) => /^[0.]*1[0]*$/.test(String(step))) : steps };
}

/** From 0 to a round number at or above the largest value. */
export function linearScale(most: number, from: number, to: number): Scale {
	const step = stepsBetween(most / MOST_STEPS, most / MOST_STEPS).at(-1) as number;
	const count = Math.max(1, Math.ceil(most / step));
	const at = (value: number) => from + (value / (step * count)) * (to - from);
	return { at, ticks: Array.from({ length: count + 1 }, (_, index) => Number((index * step).toPrecision(6))) };
}

/** From the step at or below `low` to the one at or above `high`. */
function stepsBetween(low: number, high: number): readonly number[] {
	const steps: number[] = [];
	const last = Math.ceil(Math.log10(high)) + 1;
	for (let power = Math.floor(Math.log10(low)); power <= last; power++) {
		for (const step of DECADE_STEPS) steps.push(Number((step * 10 ** power).toPrecision(3)));
	}
	const first = steps.findLastIndex((step) => step <= low);
	const end = steps.findIndex((step) => step >= high);
	return steps.slice(Math.max(0, first), end + 1);
}

/** Milliseconds for an axis. */
export function msLabel(ms: number): string {
	return ms >= 1000 ? `${ms / 1000} s` : `${ms} ms`;
}
