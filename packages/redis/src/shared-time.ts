import type { Redis } from "ioredis";
import type { ConnectionLog } from "./log.js";

/** How often a server is asked what time it is, milliseconds. */
const ASK_MS = 2000;
/** So long an answer counts, and until the next one as long after it, milliseconds: a server's clock may be set back, or another server take its place. */
const COUNTS_MS = 10_000;

/**
 * The time that machines share: that of one server, told by this process's monotonic clock and by how far the server's was ahead of it. An answer is
 * older than the moment at which it is read, so it is never ahead of the server's, and the one that came quickest counts.
 */
export class SharedTime {
	#aheadMs = Number.NEGATIVE_INFINITY;
	#beforeMs = Number.NEGATIVE_INFINITY;
	#sinceMs = Number.NEGATIVE_INFINITY;
	readonly #monotonic: () => number;

	/** @param monotonic milliseconds from any moment on */
	constructor(monotonic: () => number = () => performance.now()) {
		this.#monotonic = monotonic;
	}

	/** What the server said it was, milliseconds since the epoch. */
	shown(serverMs: number): void {
		const nowMs = this.#monotonic();
		if (nowMs - this.#sinceMs >= COUNTS_MS) {
			this.#beforeMs = this.#aheadMs;
			this.#aheadMs = Number.NEGATIVE_INFINITY;
			this.#sinceMs = nowMs;
		}
		this.#aheadMs = Math.max(this.#aheadMs, serverMs - nowMs);
	}

	/** Milliseconds since the epoch. Before the first answer it is this process's own time. */
	now(): number {
		const aheadMs = Math.max(this.#aheadMs, this.#beforeMs);
		return aheadMs === Number.NEGATIVE_INFINITY ? Date.now() : Math.floor(this.#monotonic() + aheadMs);
	}
}

/** One for a process, as `Date` is. */
const ofThisProcess = new SharedTime();

/**
 * Milliseconds since the epoch by the clock that all gateways and workers of a stack share, whatever their own show: what is stamped on one machine and
 * held against the time on another is stamped and held by this. What begins and ends in one process has `performance.now()`.
 */
export function sharedNow(): number {
	return ofThisProcess.now();
}

/** What a server's clock shows, milliseconds since the epoch. */
export async function timeOf(redis: Redis): Promise<number> {
	const [seconds, micros] = await redis.time();
	return Number(seconds) * 1000 + Number(micros) / 1000;
}

/** Has `sharedNow` go by a server's clock, from when this resolves. @returns what ends it */
export async function shareTime(redis: Redis, log: ConnectionLog): Promise<() => void> {
	const ask = async () => ofThisProcess.shown(await timeOf(redis));
	await ask();
	let isAsking = false;
	const timer = setInterval(() => {
		if (isAsking || redis.status !== "ready") return;
		isAsking = true;
		ask()
			.catch((error: unknown) => log.debug({ error }, "the time couldn't be asked for; it goes on from the last answer"))
			.finally(() => {
				isAsking = false;
			});
	}, ASK_MS);
	timer.unref();
	return () => clearInterval(timer);
}
