import { SECOND_MS } from "@berth/contracts";
import type { Seen } from "./self-watch.js";

/**
 * Later than this its timers ring at a gateway whose requests wait for the CPU, or for one another; milliseconds, on average. Measured on two cores:
 * 0.3 to 0.6 at rest and beside sandboxes that compute, 1.5 beside a flood.
 */
const LATE_MS = 1;
/** With less than this of a core a gateway isn't what keeps anybody waiting: slower requests would change nothing. */
const BUSY = 0.1;
const SLOWER = 0.7;
const FASTER = 1.1;
/** Far enough above what all ask for to be no bound. */
const FREE = 2;
/** As much of what one does at most: then all do the same, and slower requests of all would be nobody's gain. */
const ALIKE = 0.95;
/** So many a second are no flood, whatever others do: nobody is held up who asks for less. */
const LEAST = 100;
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

/**
 * How many requests a second a project may begin, which is any number unless a gateway is behind and works for several: then it is one number for
 * all, so that who asks for less isn't held up, and all others have the same (max-min fairness). It goes down as long as the gateway is behind, but
 * not below an equal part of what it does, since nobody would have more for that; and up as soon as it isn't, by a share of itself: a machine may serve ten a second, or thousands.
 */
export class Paces {
	readonly #clock: () => number;
	/** Of those that asked for something lately. */
	readonly #projects = new Map<string, Pace>();
	#perSecond: number | undefined;

	/** @param clock monotonic, milliseconds */
	constructor(clock: () => number = () => performance.now()) {
		this.#clock = clock;
	}

	/** Whether more than one project asked for something lately. */
	get shared(): boolean {
		return this.#projects.size > 1;
	}

	/** What each may begin now, requests a second; undefined: any number. */
	get perSecond(): number | undefined {
		return this.#perSecond;
	}

	/** One more request. @returns how long it waits for its turn, milliseconds; undefined when that is too long, and it has none */
	take(project: string): number | undefined {
		const pace = this.#projects.get(project) ?? { begun: 0, perSecond: undefined, turnAtMs: 0 };
		this.#projects.set(project, pace);
		if (this.#perSecond === undefined) {
			pace.begun++;
			return 0;
		}
		const nowMs = this.#clock();
		const turnAtMs = Math.max(pace.turnAtMs, nowMs - BURST_MS);
		const waitMs = Math.max(0, turnAtMs - nowMs);
		if (waitMs > LONGEST_TURN_MS) return undefined;
		pace.turnAtMs = turnAtMs + SECOND_MS / this.#perSecond;
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
		this.#perSecond = this.shared ? this.#next(seen) : undefined;
	}

	#next({ lateMs, cores }: Seen): number | undefined {
		const now = this.#perSecond ?? Number.POSITIVE_INFINITY;
		const asked = [...this.#projects.values()].map(({ perSecond = 0 }) => Math.min(perSecond, now));
		const most = Math.max(...asked);
		const equal = asked.reduce((sum, each) => sum + each, 0) / asked.length;
		if (lateMs > LATE_MS && cores > BUSY)
			return equal > ALIKE * most ? this.#perSecond : Math.max(LEAST, equal, SLOWER * Math.min(now, most));
		return now * FASTER > FREE * most ? undefined : now * FASTER;
	}
}
