import { Rhythms } from "../keep-alive/rhythms.js";
import { standardWindows, type Windows } from "../keep-alive/windows.js";
import type { Arrivals } from "./traces.js";

/** When a function's sandbox is there after an invocation that ended at that moment. */
type Policy = (atMs: number) => Windows;

/** What a policy comes to. */
export interface Outcome {
	readonly invocations: number;
	readonly cold: number;
	/** For how long sandboxes waited for invocations, milliseconds, all together. */
	readonly idleMs: number;
	/** The share of cold starts of each function that was invoked at all, in order. */
	readonly shares: readonly number[];
}

/** Each sandbox is kept for as long. */
export function simulateFixed(traces: readonly Arrivals[], lengthMs: number, ttlMs: number): Outcome {
	return simulate(traces, lengthMs, () => () => standardWindows(ttlMs));
}

/** As the pool does it, by the pool's own code. @param standardMs what is `BERTH_IDLE_TTL_MS` there */
export function simulateHybrid(traces: readonly Arrivals[], lengthMs: number, standardMs: number): Outcome {
	return simulate(traces, lengthMs, () => {
		const rhythms = new Rhythms(standardMs);
		const of = { project: "default", function: "f", version: 1 };
		return (atMs) => {
			rhythms.began(of, atMs);
			rhythms.ended(of, atMs);
			return rhythms.windowsOf(of);
		};
	});
}

/** One sandbox for each function, as in the paper, and runs that take no time: so it is idle for as long as it can be. */
function simulate(traces: readonly Arrivals[], lengthMs: number, policyOf: () => Policy): Outcome {
	let [invocations, cold, idleMs] = [0, 0, 0];
	const shares: number[] = [];
	for (const arrivals of traces) {
		if (arrivals.length === 0) continue;
		const policy = policyOf();
		let coldHere = 1;
		for (const [at, arrivedMs] of arrivals.entries()) {
			const { prewarmMs, keepMs } = policy(arrivedMs);
			const next = arrivals[at + 1];
			const gapMs = (next ?? lengthMs) - arrivedMs;
			idleMs += Math.min(keepMs, Math.max(0, gapMs - prewarmMs));
			if (next !== undefined && (gapMs < prewarmMs || gapMs > prewarmMs + keepMs)) coldHere++;
		}
		invocations += arrivals.length;
		cold += coldHere;
		shares.push(coldHere / arrivals.length);
	}
	return { invocations, cold, idleMs, shares: shares.sort((a, b) => a - b) };
}

/** The share of cold starts that so large a part of the functions doesn't have more than. */
export function shareAt({ shares }: Outcome, part: number): number {
	return shares[Math.min(shares.length - 1, Math.floor(part * shares.length))] ?? 0;
}
