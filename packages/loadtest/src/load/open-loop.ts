import type { LoadFigures } from "../report/report.js";
import { type Ending, type LoadRequest, LoadTarget } from "./load-target.js";
import { beatEvery } from "./metronome.js";
import { Tally } from "./tally.js";

/** At most so many wait for an answer: what is due beyond is counted as `not_sent`, and the machine stays usable. */
const MOST_IN_FLIGHT = 4096;
/** A beat every so often at most; several requests may be due at one. */
const LEAST_PERIOD_MS = 0.5;
/** The thread is up by then. */
const LEAD_MS = 100;
const WARM_UP_MS = 500;

export interface OpenLoopOptions {
	readonly ratePerSecond: number;
	readonly seconds: number;
	readonly signal?: AbortSignal | undefined;
	/** Told of each request that counts how it ended, and how long after it was due, milliseconds. */
	readonly onEnded?: (ending: Ending, latencyMs: number) => void;
}

/**
 * Sends at a fixed rate, whether answers come or not, as users do. The k-th request is due at start + k / rate, and its
 * latency counts from there: a stall of the server, or of this generator, shows in every request that was due meanwhile
 * (Gil Tene's "coordinated omission" is what a closed loop does instead).
 */
export async function openLoop(request: LoadRequest, { ratePerSecond, seconds, signal, onEnded }: OpenLoopOptions): Promise<LoadFigures> {
	await using target = new LoadTarget(request, undefined, signal);
	const intervalMs = 1000 / ratePerSecond;
	const startAt = performance.now() + LEAD_MS;
	const countFrom = startAt + WARM_UP_MS;
	const untilAt = countFrom + seconds * 1000;
	const tally = new Tally();
	let sent = 0;
	let inFlight = 0;
	let lastAnswerAt = untilAt;
	let drained: (() => void) | undefined;
	const sendDue = () => {
		const now = performance.now();
		for (let dueAt = startAt + sent * intervalMs; dueAt <= now && dueAt < untilAt; dueAt = startAt + ++sent * intervalMs) {
			const count = (ending: string) => {
				if (dueAt < countFrom) return;
				const latencyMs = performance.now() - dueAt;
				tally.add(ending, latencyMs);
				onEnded?.(ending, latencyMs);
			};
			if (inFlight >= MOST_IN_FLIGHT) {
				count("not_sent");
				continue;
			}
			inFlight++;
			target.send((ending) => {
				inFlight--;
				lastAnswerAt = Math.max(untilAt, performance.now());
				count(ending);
				if (inFlight === 0) drained?.();
			});
		}
	};
	await beatEvery({ periodMs: Math.max(LEAST_PERIOD_MS, intervalMs), startAt, untilAt, signal }, sendDue);
	sendDue();
	if (inFlight > 0) await new Promise<void>((resolve) => (drained = resolve));
	return tally.figures((lastAnswerAt - countFrom) / 1000);
}
