import { monitorEventLoopDelay } from "node:perf_hooks";

const RESOLUTION_MS = 10;
const NS_PER_MS = 1e6;
const US_PER_MS = 1000;

/** What a gateway saw of itself since it looked last. */
export interface Seen {
	readonly elapsedMs: number;
	/** How late its timers rang, on average, milliseconds; 0 when that wasn't measured. */
	readonly lateMs: number;
	/** How much of a core it took. */
	readonly cores: number;
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
	#cpu = process.cpuUsage();
	#atMs = performance.now();

	seen(): Seen {
		const [atMs, cpu] = [performance.now(), process.cpuUsage()];
		const elapsedMs = atMs - this.#atMs;
		const spentMs = (cpu.user + cpu.system - this.#cpu.user - this.#cpu.system) / US_PER_MS;
		const lateMs = this.#delay.count === 0 ? 0 : this.#delay.mean / NS_PER_MS - RESOLUTION_MS;
		[this.#atMs, this.#cpu] = [atMs, cpu];
		this.#delay.reset();
		return { elapsedMs, lateMs, cores: spentMs / elapsedMs };
	}

	measure(late: boolean): void {
		if (late) this.#delay.enable();
		else this.#delay.disable();
	}

	close(): void {
		this.#delay.disable();
	}
}
