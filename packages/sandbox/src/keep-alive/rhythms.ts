import { DAY_MS, MINUTE_MS } from "@berth/contracts";
import type { VersionNames } from "../version-target.js";
import { IdleHistogram } from "./idle-histogram.js";
import { standardWindows, type Windows, windowsOf } from "./windows.js";

/** A function that isn't invoked for so long begins anew, milliseconds. */
const FORGOTTEN_MS = 7 * DAY_MS;
/** Functions that are remembered: six megabytes of histograms. Of more, those go that were invoked longest ago, and have the standard when they come again. */
const MOST_FUNCTIONS = 10_000;
/** A start costs CPU, and the sandbox that goes has what its function remembers: for less time than that neither is worth it, milliseconds. */
const SHORTEST_GAP_MS = 5 * MINUTE_MS;

/** One function's. */
interface Rhythm {
	/** The version that was invoked last. */
	of: VersionNames;
	/** Its invocations that run. */
	running: number;
	/** When the last of them ended, as whoever tells counts. */
	endedAtMs: number;
	/** Absent until it has been idle once, and was invoked again. */
	histogram?: IdleHistogram;
	windows: Windows;
	/** Whether there are idle times that its windows don't know of. */
	isStale: boolean;
	/** Whether the window that comes next, or is open, needs no start any more. */
	isForeseen: boolean;
}

/** When functions are invoked, and what follows for their sandboxes. Times are milliseconds of whatever clock its caller goes by. */
export class Rhythms {
	readonly #standard: Windows;
	readonly #byFunction = new Map<string, Rhythm>();

	/** @param standardMs how long a sandbox is kept where nothing is known, and at most */
	constructor(standardMs: number) {
		this.#standard = standardWindows(standardMs);
	}

	/** An invocation begins. */
	began(of: VersionNames, nowMs: number): void {
		const key = keyOf(of);
		const rhythm = this.#byFunction.get(key);
		if (rhythm === undefined) {
			this.#byFunction.set(key, {
				of: namesOf(of),
				running: 1,
				endedAtMs: nowMs,
				windows: this.#standard,
				isStale: false,
				isForeseen: false,
			});
			return;
		}
		if (rhythm.running++ === 0) {
			rhythm.histogram ??= new IdleHistogram();
			rhythm.histogram.record(nowMs - rhythm.endedAtMs);
			rhythm.isStale = true;
			rhythm.isForeseen = false;
		}
		if (rhythm.of.version !== of.version) rhythm.of = namesOf(of);
	}

	/** One ends that began. */
	ended(of: VersionNames, nowMs: number): void {
		const rhythm = this.#byFunction.get(keyOf(of));
		if (rhythm === undefined) return;
		rhythm.running--;
		rhythm.endedAtMs = nowMs;
	}

	windowsOf(of: VersionNames): Windows {
		const rhythm = this.#byFunction.get(keyOf(of));
		return rhythm === undefined ? this.#standard : this.#windowsOf(rhythm);
	}

	/** When a sandbox of the function goes that is idle since then. @param isUnused whether it was started ahead of need, and nobody came */
	freeAtMs(of: VersionNames, idleSinceMs: number, isUnused: boolean): number {
		const rhythm = this.#byFunction.get(keyOf(of));
		if (rhythm === undefined || rhythm.running > 0) return idleSinceMs + this.#standard.keepMs;
		const { prewarmMs, keepMs } = this.#windowsOf(rhythm);
		return prewarmMs > 0 && !isUnused ? idleSinceMs : idleSinceMs + keepMs;
	}

	/** Versions whose next invocation may come now, after a time without a sandbox: until one was started for it, or its window is over. */
	foreseen(nowMs: number): readonly VersionNames[] {
		const due: VersionNames[] = [];
		for (const rhythm of this.#byFunction.values()) {
			if (rhythm.running > 0 || rhythm.isForeseen || rhythm.histogram === undefined) continue;
			const { prewarmMs, keepMs } = this.#windowsOf(rhythm);
			const sinceMs = nowMs - rhythm.endedAtMs;
			if (prewarmMs === 0 || sinceMs < prewarmMs) continue;
			if (sinceMs < prewarmMs + keepMs) due.push(rhythm.of);
			else rhythm.isForeseen = true;
		}
		return due;
	}

	/** There is a sandbox for what is foreseen: should it go, there isn't another. */
	startedFor(of: VersionNames): void {
		const rhythm = this.#byFunction.get(keyOf(of));
		if (rhythm !== undefined) rhythm.isForeseen = true;
	}

	/** Forgets functions that haven't been invoked for long, and of too many those that were invoked longest ago. */
	forgetOld(nowMs: number): void {
		for (const [key, { running, endedAtMs }] of this.#byFunction)
			if (running === 0 && nowMs - endedAtMs > FORGOTTEN_MS) this.#byFunction.delete(key);
		const tooMany = this.#byFunction.size - MOST_FUNCTIONS;
		if (tooMany <= 0) return;
		const idle = [...this.#byFunction].filter(([, { running }]) => running === 0);
		idle.sort(([, a], [, b]) => a.endedAtMs - b.endedAtMs);
		for (const [key] of idle.slice(0, tooMany)) this.#byFunction.delete(key);
	}

	#windowsOf(rhythm: Rhythm): Windows {
		if (rhythm.isStale && rhythm.histogram !== undefined) {
			rhythm.windows = windowsOf(rhythm.histogram, this.#standard.keepMs, SHORTEST_GAP_MS);
			rhythm.isStale = false;
		}
		return rhythm.windows;
	}
}

/** Who tells may have much more about it, secrets among that, which isn't to be remembered for so long. */
function namesOf({ project, function: name, version }: VersionNames): VersionNames {
	return { project, function: name, version };
}

function keyOf({ project, function: name }: VersionNames): string {
	return `${project}/${name}`;
}
