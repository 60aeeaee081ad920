/** How long something took, over its samples; milliseconds. */
export interface Durations {
	readonly p50Ms: number;
	readonly p90Ms: number;
	readonly p99Ms: number;
	readonly maxMs: number;
}

/** The smallest sample that at least this share of all samples don't exceed (nearest rank); 0 when there is none. */
export function quantile(sorted: readonly number[], share: number): number {
	return sorted[Math.max(0, Math.ceil(sorted.length * share) - 1)] ?? 0;
}

/** Median, tail and maximum of samples in any order. */
export function durationsOf(samplesMs: readonly number[]): Durations {
	const sorted = samplesMs.toSorted((a, b) => a - b);
	const at = (share: number) => rounded(quantile(sorted, share));
	return { p50Ms: at(0.5), p90Ms: at(0.9), p99Ms: at(0.99), maxMs: at(1) };
}

/** Microseconds are as fine as anything here is known. */
export function rounded(value: number): number {
	return Math.round(value * 1000) / 1000;
}
