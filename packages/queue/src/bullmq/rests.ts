import { MINUTE_MS } from "@berth/contracts";

/** How far jobs of one version are apart when they come again: one at a time is tried, and the others needn't all ask at once. Milliseconds. */
const APART_MS = 100;
/** No job is left alone for longer beyond the rest itself, however many there are, milliseconds. */
const MOST_MS = 5 * MINUTE_MS;
const MOST_KEPT = 1000;

/** When jobs of versions that crash again and again are looked at again: one after another, behind the rest that all of them have. */
export class Rests {
	/** When the last job of a version comes, by the monotonic clock. */
	readonly #last = new Map<string, number>();

	/** @param restMs of the version, from now @returns how long this job is left alone, milliseconds */
	until(version: string, restMs: number): number {
		const now = performance.now();
		// Counted from now: what is added to a clock and taken off again is a little more than it was.
		const inMs = Math.max(restMs, (this.#last.get(version) ?? 0) + APART_MS - now);
		if (inMs > restMs + MOST_MS) return Math.ceil(restMs + MOST_MS * Math.random());
		this.#last.delete(version);
		this.#last.set(version, now + inMs);
		const [oldest] = this.#last.size > MOST_KEPT ? this.#last.keys() : [];
		if (oldest !== undefined) this.#last.delete(oldest);
		return Math.ceil(inMs);
	}
}
