import { BIN_MS, type IdleHistogram } from "./idle-histogram.js";

/** Fewer idle times say nothing. */
const LEAST_SAMPLES = 10;
/** From so large a part of idle times beyond the histogram's range on, the rest says nothing. */
const MOST_OUTSIDE = 0.5;
/** Bins whose counts vary less have no pattern: the paper's threshold. */
const LEAST_VARIATION = 2;
/** The paper's: the idle times between which the next invocation is expected, and how much earlier and later besides. */
const HEAD = 0.05;
const TAIL = 0.99;
const MARGIN = 0.1;

/** When a function's sandbox is there, counted from the end of its last invocation. */
export interface Windows {
	/** `pattern`: its own idle times say so; `standard`: they don't say anything. */
	readonly by: "pattern" | "standard";
	/** So long there is none; 0: the one that has run is kept. */
	readonly prewarmMs: number;
	/** From then on there is one for so long. */
	readonly keepMs: number;
}

export function standardWindows(standardMs: number): Windows {
	return { by: "standard", prewarmMs: 0, keepMs: standardMs };
}

/**
 * The hybrid histogram policy of Shahrad et al., "Serverless in the Wild" (USENIX ATC 2020): a function whose idle times have a pattern is
 * gone until shortly before the earliest that its next invocation is expected, and then there until shortly after the latest. Without ARIMA, by which the paper
 * foretells those that are mostly idle for longer than the histogram's range: these have the standard.
 * @param standardMs how long a sandbox is kept where nothing is known, and at most
 * @param shortestGapMs a gap that is shorter isn't worth a start: the sandbox that has run is kept over it
 */
export function windowsOf(histogram: IdleHistogram, standardMs: number, shortestGapMs: number): Windows {
	if (histogram.samples < LEAST_SAMPLES || histogram.outsideShare > MOST_OUTSIDE || histogram.variation < LEAST_VARIATION)
		return standardWindows(standardMs);
	const headMs = histogram.binAt(HEAD) * BIN_MS * (1 - MARGIN);
	const tailMs = (histogram.binAt(TAIL) + 1) * BIN_MS * (1 + MARGIN);
	const prewarmMs = headMs < shortestGapMs ? 0 : headMs;
	const keepMs = prewarmMs === 0 ? Math.max(tailMs, shortestGapMs) : tailMs - prewarmMs;
	return { by: "pattern", prewarmMs, keepMs: Math.min(standardMs, keepMs) };
}
