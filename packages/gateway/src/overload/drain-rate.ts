import { SECOND_MS } from "@berth/contracts";

/** A window is closed when it has lasted so long and so many have ended in it; what is older than the last closed one says nothing any more. */
const WINDOW_MS = SECOND_MS / 2;
const FEWEST = 8;
const OLDEST_MS = 10 * SECOND_MS;
/**
 * When even who waited least in a window waited so long, what it has serves as fast as it can: a queue that stands,
 * as CoDel tells it (RFC 8289, 4), and no burst that will be gone. Milliseconds.
 */
const STANDING_MS = 100;

/** One invocation that has ended. */
export interface Drained {
	/** From its acceptance until its sandbox was its own, milliseconds. */
	readonly waitedMs: number;
	/** From then until its end, milliseconds. */
	readonly ranMs: number;
}

interface Window {
	readonly startedAtMs: number;
	ended: number;
	ranMs: number;
	leastWaitedMs: number;
}

/** What a queue that stands is served at. */
interface Service {
	readonly perMs: number;
	/** How many are being served at a time: Little's law. */
	readonly atATime: number;
	readonly atMs: number;
}

/**
 * How fast the invocations of one function end, so far as that can be told: a function that nobody waits for may be able
 * to do any number more, so a rate is known only while a queue stands.
 */
export class DrainRate {
	#window: Window | undefined;
	#service: Service | undefined;

	/** @param nowMs of a monotonic clock */
	ended({ waitedMs, ranMs }: Drained, nowMs: number): void {
		this.#window ??= { startedAtMs: nowMs, ended: 0, ranMs: 0, leastWaitedMs: Number.POSITIVE_INFINITY };
		const window = this.#window;
		// The one that opens a window ended before it.
		if (nowMs > window.startedAtMs) window.ended++;
		window.ranMs += ranMs;
		window.leastWaitedMs = Math.min(window.leastWaitedMs, waitedMs);
		const lastedMs = nowMs - window.startedAtMs;
		if (lastedMs < WINDOW_MS || window.ended < FEWEST) return;
		const perMs = window.ended / lastedMs;
		const meanMs = window.ranMs / (window.ended + 1);
		this.#service = window.leastWaitedMs < STANDING_MS ? undefined : { perMs, atATime: perMs * meanMs, atMs: nowMs };
		this.#window = undefined;
	}

	/**
	 * How long one more is expected to wait behind these, milliseconds; undefined while nothing says that any would.
	 * @param inFlight those that wait or run
	 */
	expectedWaitMs(inFlight: number, nowMs: number): number | undefined {
		const service = this.#service;
		if (service === undefined || nowMs - service.atMs > OLDEST_MS) return undefined;
		return Math.max(0, inFlight - service.atATime) / service.perMs;
	}
}
