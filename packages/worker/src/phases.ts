import type { Phases } from "@berth/contracts";

/** To the microsecond: what is beyond says nothing, and travels with every record. */
export function rounded({ queueMs, startMs, initMs, runMs }: Phases): Phases {
	const microseconds = (ms: number) => Math.round(ms * 1000) / 1000;
	return { queueMs, startMs: microseconds(startMs), initMs: microseconds(initMs), runMs: microseconds(runMs) };
}
