import { MINUTE_MS, SECOND_MS } from "@berth/contracts";
import type { Seen } from "./self-watch.js";

/**
 * Later than this its timers ring at a gateway whose requests wait for the CPU, or for one another; milliseconds, on average. Measured on two cores:
 * 0.3 to 0.6 at rest and beside sandboxes that compute, 1.5 beside a flood.
 */
const LATE_MS = 1;
/** With work for less of its time a gateway isn't what keeps anybody waiting: slower requests would change nothing. */
const BUSY = 0.1;
/** With work for more of its time it has more than it can do, for whatever reason: less is the only cure. */
const FULL = 0.95;
const SLOWER = 0.7;
const FASTER = 1.1;
/** Far enough above what all ask for to be no bound. */
const FREE = 2;
/** As much of what one does at most: then all do the same, and slower requests of all would be nobody's gain. */
const ALIKE = 0.95;
/** So many a second are no flood, whatever others do: nobody is held up who asks for less. */
const LEAST = 100;
/** Who asks for less than so many a second would hardly gain by it if others were slower: they aren't for its sake. */
const COUNTED = LEAST / 10;
/** How many looks say how late it is, by the one in the middle: less than half of them, late for whatever reason, say nothing. */
const LOOKS = 5;
/** What is left of the lateness at most once nobody does more than an equal part, if it came of their requests. */
const HELPED = 0.8;
/** So long nobody is slowed after it didn't help, twice as long each time, and at most; milliseconds. */
const REST_MS = 10 * SECOND_MS;
const LONGEST_REST_MS = MINUTE_MS;
/** What a project may begin at once, by what it may in this time: what came evenly comes together where a machine is late. Milliseconds. */
const BURST_MS = SECOND_MS;
/** So long a request waits for its turn at most, milliseconds. */
export const LONGEST_TURN_MS = SECOND_MS / 4;
/** The weight of the newest look at what a project asks for; and with less than this a second it asks for nothing any more. */
const NEWEST = 0.3;
const NOTHING = 0.1;

interface Pace {
	begun: number;
	/** Requests begun a second, lately; undefined before the first look. */
	perSecond: number | undefined;
	/** When its next request has its turn, milliseconds. */
	turnAtMs: number;
}

/** Since projects aren't free to ask for anything. */
interface Cut {
	/** What it was before: how late the gateway was, milliseconds, and an equal part of what was begun, a second. */
	readonly lateMs: number;
	readonly equal: number;
	/** What each may begin now, a second. */
	perSecond: number;
	/** For how many looks nobody did more than that equal part. */
	looksBelow: number;
}

/**
 * How many requests a second a project may begin, which is any number unless a gateway is behind and works for several: then it is one number for
 * all, so that who asks for less isn't held up, and all others have the same (max-min fairness). It goes down as long as the gateway is behind: to an
 * equal part of what was begun before, and further only if that made the gateway less late, or it never rests. Otherwise its requests
 * aren't why it is late, and all are free again. It goes up as soon as the gateway isn't behind, by a share of itself: a machine may serve ten a second, or thousands.
 */
export class Paces {
	readonly #clock: () => number;
	/** Of those that asked for something lately. */
	readonly #projects = new Map<string, Pace>();
	/** How late it was at the last looks, milliseconds; the newest is the last. */
	readonly #late: number[] = [];
	#cut: Cut | undefined;
	#restMs = REST_MS;
	#restUntilMs = 0;

	/** @param clock monotonic, milliseconds */
	constructor(clock: () => number = () => performance.now()) {
		this.#clock = clock;
	}

	/** Whether more than one project asked for something lately that counts. */
	get shared(): boolean {
		return this.#counted().length > 1;
	}

	/** What each may begin now, requests a second; undefined: any number. */
	get perSecond(): number | undefined {
		return this.#cut?.perSecond;
	}

	/** One more request. @returns how long it waits for its turn, milliseconds; undefined when that is too long, and it has none */
	take(project: string): number | undefined {
		const pace = this.#projects.get(project) ?? { begun: 0, perSecond: undefined, turnAtMs: 0 };
		this.#projects.set(project, pace);
		if (this.#cut === undefined) {
			pace.begun++;
			return 0;
		}
		const nowMs = this.#clock();
		const turnAtMs = Math.max(pace.turnAtMs, nowMs - BURST_MS);
		const waitMs = Math.max(0, turnAtMs - nowMs);
		if (waitMs > LONGEST_TURN_MS) return undefined;
		pace.turnAtMs = turnAtMs + SECOND_MS / this.#cut.perSecond;
		pace.begun++;
		return waitMs;
	}

	/** Several times a second. */
	look(seen: Seen): void {
		for (const [project, pace] of this.#projects) {
			const perSecond = (pace.begun * SECOND_MS) / seen.elapsedMs;
			pace.perSecond = pace.perSecond === undefined ? perSecond : pace.perSecond + NEWEST * (perSecond - pace.perSecond);
			pace.begun = 0;
			if (pace.perSecond < NOTHING) this.#projects.delete(project);
		}
		this.#late.push(seen.lateMs);
		if (this.#late.length > LOOKS) this.#late.shift();
		this.#cut = this.#next(this.#counted(), seen);
		if (this.#cut !== undefined) this.#spend(this.#cut.perSecond);
	}

	#next(counted: readonly number[], { lateMs: newestMs, busy }: Seen): Cut | undefined {
		if (counted.length < 2) return undefined;
		const lateMs = this.#lateMs();
		const isBehind = lateMs > LATE_MS && busy > BUSY;
		const cut = this.#cut;
		const begun = cut === undefined ? counted : counted.map((each) => Math.min(each, cut.perSecond));
		const most = Math.max(...begun);
		const equal = begun.reduce((sum, each) => sum + each, 0) / begun.length;
		const [, second = 0] = begun.toSorted((one, other) => other - one);
		const areAlike = equal > ALIKE * most;
		if (cut === undefined) {
			if (!isBehind || areAlike || most <= LEAST || this.#clock() < this.#restUntilMs) return undefined;
			return { lateMs, equal, perSecond: Math.max(LEAST, equal, SLOWER * most), looksBelow: 0 };
		}
		cut.looksBelow = cut.perSecond > Math.max(LEAST, cut.equal) ? 0 : cut.looksBelow + 1;
		if (!isBehind) return this.#faster(cut, most);
		const isTold = cut.looksBelow >= LOOKS;
		if (isTold && Math.min(lateMs, newestMs) > HELPED * cut.lateMs && busy < FULL) return this.#rest();
		// Unless there is more than it can do, it holds up nobody but who asks for the most: the others would be slower for the others' sake.
		const isFull = busy >= FULL;
		const least = Math.max(LEAST, isTold ? (isFull ? equal : second) : cut.equal);
		if (!areAlike) cut.perSecond = Math.max(least, SLOWER * Math.min(cut.perSecond, most));
		else if (!isFull) cut.perSecond *= FASTER;
		return cut;
	}

	#faster(cut: Cut, most: number): Cut | undefined {
		cut.perSecond *= FASTER;
		if (cut.perSecond <= FREE * most) return cut;
		this.#restMs = REST_MS;
		return undefined;
	}

	#rest(): undefined {
		this.#restUntilMs = this.#clock() + this.#restMs;
		this.#restMs = Math.min(LONGEST_REST_MS, 2 * this.#restMs);
	}

	/** Who began more than this has nothing to begin at once: otherwise a pace would be none for as long as that lasts. */
	#spend(perSecond: number): void {
		const nowMs = this.#clock();
		for (const pace of this.#projects.values()) {
			if ((pace.perSecond ?? 0) > perSecond) pace.turnAtMs = Math.max(pace.turnAtMs, nowMs);
		}
	}

	/** What those that count began a second, lately. */
	#counted(): readonly number[] {
		return [...this.#projects.values()].map(({ perSecond = 0 }) => perSecond).filter((perSecond) => perSecond >= COUNTED);
	}

	/** 0 until there were enough looks. */
	#lateMs(): number {
		return this.#late.toSorted((one, other) => one - other)[this.#late.length === LOOKS ? LOOKS >> 1 : LOOKS] ?? 0;
	}
}
