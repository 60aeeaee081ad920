import { cpus } from "node:os";

const LOOK_MS = 100;
/** Busier than this the machine is full, and less busy it has room. */
const FULL = 0.85;
const ROOMY = 0.75;
const SLOWER = 0.7;

/**
 * How many runs at a time keep the cores busy and no more: more would only stand in each other's way, and in that of
 * interactive invocations. Fewer when the machine is full, more while it has room (additive increase, multiplicative decrease).
 */
export class CpuPace {
	readonly #most: number;
	readonly #least: number;
	readonly #timer: NodeJS.Timeout;
	#pace: number;
	#last = times();

	/** @param onPace told of each change */
	constructor(most: number, cores: number, onPace: (pace: number) => void) {
		this.#most = most;
		this.#least = Math.min(most, 4 * cores);
		this.#pace = this.#least;
		onPace(this.#pace);
		this.#timer = setInterval(() => this.#look(onPace), LOOK_MS);
	}

	stop(): void {
		clearInterval(this.#timer);
	}

	#look(onPace: (pace: number) => void): void {
		const now = times();
		const busy = 1 - (now.idle - this.#last.idle) / Math.max(1, now.all - this.#last.all);
		this.#last = now;
		const pace = paceAfter(this.#pace, busy, this.#least, this.#most);
		if (pace === this.#pace) return;
		this.#pace = pace;
		onPace(pace);
	}
}

/** @param busy the share of its time that the machine worked, 0 to 1 */
export function paceAfter(pace: number, busy: number, least: number, most: number): number {
	if (busy > FULL) return Math.max(least, Math.floor(pace * SLOWER));
	return busy < ROOMY ? Math.min(most, pace + Math.ceil(most / 64)) : pace;
}

/** Of all cores together, milliseconds: what waits for a disk is idle. */
function times(): { readonly idle: number; readonly all: number } {
	let [idle, all] = [0, 0];
	for (const { times: one } of cpus()) {
		idle += one.idle;
		all += one.user + one.nice + one.sys + one.irq + one.idle;
	}
	return { idle, all };
}
