import { closeSync, openSync, readSync } from "node:fs";

const SAMPLE_MS = 50;
/** The weight of the newest sample: the kernel counts in ticks of 10 ms, so that one alone says little. */
const NEWEST = 0.3;
/** Above this share of busy CPU time a machine counts as saturated. */
const SATURATED = 0.8;
const HEAD = Buffer.allocUnsafe(256);

/** How busy this machine's CPUs are (proc_stat(5)), looked at every 50 ms between `start` and `stop`. */
export class CpuLoad {
	#fd: number | undefined;
	#timer: NodeJS.Timeout | undefined;
	#total = 0;
	#idle = 0;
	#busy = 0;

	/** Whether they have had little left to give lately. */
	get saturated(): boolean {
		return this.#busy > SATURATED;
	}

	start(): void {
		this.#fd = openSync("/proc/stat", "r");
		this.#timer = setInterval(() => this.#sample(this.#fd as number), SAMPLE_MS).unref();
	}

	stop(): void {
		clearInterval(this.#timer);
		if (this.#fd !== undefined) closeSync(this.#fd);
		this.#fd = undefined;
	}

	/** Clock ticks since the machine's start: all of them, and those in which nothing ran. */
	#sample(fd: number): void {
		const text = HEAD.toString("latin1", 0, readSync(fd, HEAD, 0, HEAD.length, 0));
		const ticks = text.slice(0, text.indexOf("\n")).trim().split(/\s+/).slice(1, 9).map(Number);
		const total = ticks.reduce((sum, each) => sum + each, 0);
		const idle = (ticks[3] ?? 0) + (ticks[4] ?? 0);
		if (total > this.#total) this.#busy += (1 - (idle - this.#idle) / (total - this.#total) - this.#busy) * NEWEST;
		this.#total = total;
		this.#idle = idle;
	}
}
