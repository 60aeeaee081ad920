import { readFileSync } from "node:fs";

const LOOK_MS = 100;
/** Busier than this the machine is full, and less busy it has room. */
const FULL = 0.85;
const ROOMY = 0.75;
const SLOWER = 0.7;
/** The weight of the newest look at who wants a CPU: one alone is a moment's. */
const NEWEST = 0.2;

/** What the machine's CPUs did since its start, in ticks of all cores together, and how many threads have or want one now. */
interface Ticks {
	readonly all: number;
	/** What waits for a disk is idle. */
	readonly idle: number;
	readonly wanting: number;
}

/**
 * How many runs that compute keep the cores busy and no more: more would only stand in each other's way, and in that of
 * interactive invocations. Fewer when the machine is full, more while it has room (additive increase, multiplicative decrease).
 */
export class CpuPace {
	readonly #most: number;
	readonly #least: number;
	readonly #cores: number;
	readonly #timer: NodeJS.Timeout;
	#pace: number;
	#last = ticks();
	#wanting: number;

	/** @param onPace told of each change */
	constructor(most: number, cores: number, onPace: (pace: number) => void) {
		this.#most = most;
		this.#least = Math.min(most, 4 * cores);
		this.#cores = cores;
		this.#wanting = cores;
		this.#pace = this.#least;
		onPace(this.#pace);
		this.#timer = setInterval(() => this.#look(onPace), LOOK_MS);
	}

	/** As `wantedShare`, by how many threads have wanted a CPU lately. */
	wanted(had: number): number {
		return wantedShare(had, this.#wanting / this.#cores);
	}

	stop(): void {
		clearInterval(this.#timer);
	}

	#look(onPace: (pace: number) => void): void {
		const now = ticks();
		const busy = 1 - (now.idle - this.#last.idle) / Math.max(1, now.all - this.#last.all);
		this.#last = now;
		this.#wanting += (now.wanting - this.#wanting) * NEWEST;
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

/**
 * The share of its time that a run would compute if a CPU were free whenever it wants one, 0 to 1: what it had, as many times as threads
 * want each CPU; and twice that where they compete, since not all are given the same.
 * @param had the share of its time that it computed @param perCpu threads that have or want a CPU, for each that there is
 */
export function wantedShare(had: number, perCpu: number): number {
	return Math.min(1, perCpu > 1 ? 2 * perCpu * had : had);
}

/** proc_stat(5). */
function ticks(): Ticks {
	const text = readFileSync("/proc/stat", "latin1");
	const spent = text.slice(0, text.indexOf("\n")).trim().split(/\s+/).slice(1, 9).map(Number);
	const idle = (spent[3] ?? 0) + (spent[4] ?? 0);
	// Less the thread that asks.
	const wanting = Number(/^procs_running (\d+)/m.exec(text)?.[1] ?? 1) - 1;
	return { all: spent.reduce((sum, each) => sum + each, 0), idle, wanting };
}
