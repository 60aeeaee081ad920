import type { LoadFigures } from "../report/report.js";
import { type LoadRequest, LoadTarget } from "./load-target.js";
import { Tally } from "./tally.js";

/** Before it counts: connections opened, sandboxes started, code compiled. */
const WARM_UP_MS = 1000;

export interface ClosedLoopOptions {
	readonly connections: number;
	readonly seconds: number;
	readonly signal?: AbortSignal | undefined;
}

/**
 * Every connection sends as soon as it has its answer: what the system can do at most. Latencies under it say how long
 * the queue of our own making is, and no more.
 */
export async function closedLoop(request: LoadRequest, { connections, seconds, signal }: ClosedLoopOptions): Promise<LoadFigures> {
	await using target = new LoadTarget(request, connections, signal);
	await drive(target, connections, WARM_UP_MS, new Tally(), signal);
	const tally = new Tally();
	return tally.figures((await drive(target, connections, seconds * 1000, tally, signal)) / 1000);
}

/** @returns how long it took, milliseconds */
async function drive(
	target: LoadTarget,
	connections: number,
	durationMs: number,
	tally: Tally,
	signal: AbortSignal | undefined,
): Promise<number> {
	const startedAt = performance.now();
	const until = startedAt + durationMs;
	const oneConnection = () =>
		new Promise<void>((resolve) => {
			const next = () => {
				const sentAt = performance.now();
				if (sentAt >= until || signal?.aborted) {
					resolve();
					return;
				}
				target.send((ending) => {
					tally.add(ending, performance.now() - sentAt);
					next();
				});
			};
			next();
		});
	await Promise.all(Array.from({ length: connections }, oneConnection));
	signal?.throwIfAborted();
	return performance.now() - startedAt;
}
