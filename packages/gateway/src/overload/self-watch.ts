import { monitorEventLoopDelay } from "node:perf_hooks";

const RESOLUTION_MS = 10;
const NS_PER_MS = 1e6;

/** What a gateway saw of itself since it looked last. */
export interface Seen {
	readonly elapsedMs: number;
	/** How late its timers rang, on average, milliseconds; 0 when that wasn't measured. */
	readonly lateMs: number;
	/** For how much of the time its event loop had work, also while others had the CPU. */
	readonly busy: number;
}

export interface Watch {
	seen(): Seen;
	/** @param late whether it is measured from now on how late timers ring: that wakes this process a hundred times a second */
	measure(late: boolean): void;
	close(): void;
}

/** Of this process. A timer rings late when what came before it isn't done, or when others have the CPU: a request waits as long. */
export class SelfWatch implements Watch {
	readonly #delay = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
	#loop = performance.eventLoopUtilization();
	#atMs = performance.now();

	seen(): Seen {
		const [atMs, loop] = [performance.now(), performance.eventLoopUtilization()];
		const elapsedMs = atMs - this.#atMs;
		const { utilization: busy } = performance.eventLoopUtilization(loop, this.#loop);
		const lateMs = this.#delay.count === 0 ? 0 : this.#delay.mean / NS_PER_MS - RESOLUTION_MS;
		[this.#atMs, this.#loop] = [atMs, loop];
		this.#delay.reset();
		return { elapsedMs, lateMs, busy };
	}

	measure(late: boolean): void {
		if (late) this.#delay.enable();
		else this.#delay.disable();
	}

	close(): void {
		this.#delay.disable();
	}
}
