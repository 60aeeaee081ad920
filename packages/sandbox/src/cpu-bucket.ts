/** What of a core a sandbox may use on and on and still come before those that use more. */
const REFILL = 0.05;
/** What it may use at once, microseconds. */
const MOST_US = 20_000;
/** What it has used beyond that is forgotten from here on, microseconds: a second of rest makes up for anything. */
const LEAST_US = -30_000;

/** The CPU time of a sandbox as a token bucket. Who has taken more than was there is heavy until it is full again; so is one that boots, which takes more than that. */
export class CpuBucket {
	#levelUs = MOST_US;
	#atMs: number;
	#isHeavy = true;

	constructor(nowMs: number) {
		this.#atMs = nowMs;
	}

	/** @param usedUs CPU time since the last time @returns whether it is heavy now */
	take(usedUs: number, nowMs: number): boolean {
		const levelUs = this.#levelUs + (nowMs - this.#atMs) * 1000 * REFILL - usedUs;
		this.#atMs = nowMs;
		this.#levelUs = Math.min(MOST_US, Math.max(LEAST_US, levelUs));
		if (levelUs < 0) this.#isHeavy = true;
		else if (levelUs >= MOST_US) this.#isHeavy = false;
		return this.#isHeavy;
	}
}
