import { BerthError, FIXED_LIMITS, SECOND_MS } from "@berth/contracts";
import { type Drained, DrainRate } from "./drain-rate.js";

/**
 * A function may have so many times what is free of its project's share then. So one that floods gets three quarters of that, two get
 * three sevenths each, and however many do there is some room for whoever comes (Choudhury and Hahne's dynamic thresholds, 1998).
 */
const OF_FREE = 3;
/** A project, whatever functions it floods with, may have so much of what the others leave: two that flood get fifteen thirty-firsts each. */
const OF_PROJECT = 15 / 16;
/** Who is expected to wait longer than this, half of the start budget, is refused at once: a wrong guess still isn't an expiry. Milliseconds. */
export const LONGEST_WAIT_MS = FIXED_LIMITS.startMs / 2;
/** Of all places so many may be taken by those of one function who wait because its sandboxes are at work, and at least so many. */
const OF_ALL = 1 / 4;
const LEAST_WAITING = 16;
/** Past this who was refused is better told to look again, milliseconds. */
const LONGEST_RETRY_MS = 30 * SECOND_MS;

/** Why an invocation got no place. */
export type Refusal = "share" | "waiting" | "late" | "full";

/** A function by project and name. */
export interface Owner {
	readonly project: string;
	readonly function: string;
	/** How many of it may run at a time, on all nodes. */
	readonly concurrency: number;
}

/** A place among those in flight; it is given back once. */
export interface Place {
	/** @param drained what its invocation did, when it was run */
	free(drained?: Drained): void;
}

interface Share {
	inFlight: number;
	readonly rate: DrainRate;
}

/**
 * The interactive invocations that a gateway waits for: so many in all, of each function a share of them, and nobody
 * who would wait for nothing. Refusing costs a look at a table.
 */
export class Places {
	readonly #most: number;
	readonly #onRefused: (reason: Refusal) => void;
	readonly #clock: () => number;
	/** Of functions with something in flight, and of those lately. */
	readonly #shares = new Map<string, Share>();
	/** How many each project has in flight, of those that have any. */
	readonly #projects = new Map<string, number>();
	readonly #all = new DrainRate();
	#inFlight = 0;

	/** @param most places in all. @param onRefused told why, each time. @param clock monotonic, milliseconds */
	constructor(most: number, onRefused: (reason: Refusal) => void = () => undefined, clock: () => number = () => performance.now()) {
		this.#most = most;
		this.#onRefused = onRefused;
		this.#clock = clock;
	}

	get inFlight(): number {
		return this.#inFlight;
	}

	/** @throws BerthError too_busy, node_full: as `take`, but nothing is taken */
	require(owner: Owner): void {
		this.#require(owner, this.#shares.get(keyOf(owner)));
	}

	/** @throws BerthError `node_full` when every place is taken, `too_busy` when the function has its share of them, what it has waits long enough, or its project has its share */
	take(owner: Owner): Place {
		const key = keyOf(owner);
		const share = this.#shares.get(key) ?? { inFlight: 0, rate: new DrainRate() };
		this.#require(owner, share);
		this.#shares.set(key, share);
		share.inFlight++;
		this.#inFlight++;
		this.#projects.set(owner.project, this.#ofProject(owner) + 1);
		let isFree = false;
		return {
			free: (drained) => {
				if (isFree) return;
				isFree = true;
				this.#free(owner, share, drained);
			},
		};
	}

	#free(owner: Owner, share: Share, drained: Drained | undefined): void {
		this.#inFlight--;
		share.inFlight--;
		const ofProject = this.#ofProject(owner) - 1;
		if (ofProject === 0) this.#projects.delete(owner.project);
		else this.#projects.set(owner.project, ofProject);
		if (drained !== undefined) {
			const nowMs = this.#clock();
			share.rate.ended(drained, nowMs);
			this.#all.ended(drained, nowMs);
		}
		// What nobody has in flight has no queue that stands.
		if (share.inFlight === 0) this.#shares.delete(keyOf(owner));
	}

	#ofProject({ project }: Owner): number {
		return this.#projects.get(project) ?? 0;
	}

	#require(owner: Owner, share: Share | undefined): void {
		const nowMs = this.#clock();
		if (this.#inFlight >= this.#most) {
			const detail = `all ${this.#most} places for invocations that are waited for are taken (BERTH_MAX_INFLIGHT); try again`;
			throw this.#refused("full", "node_full", detail, this.#all.expectedWaitMs(this.#inFlight, nowMs));
		}
		const ofProject = this.#ofProject(owner);
		// Rounded up: where there are few places a project may have them all.
		const room = Math.ceil(OF_PROJECT * (this.#most - this.#inFlight + ofProject)) - ofProject;
		if (ofProject > 0 && room <= 0) {
			const detail = `project ${owner.project} has ${ofProject} in flight already, which is its share of the ${this.#most} places that there are; try again`;
			throw this.#refused("share", "too_busy", detail, this.#all.expectedWaitMs(this.#inFlight, nowMs));
		}
		if (share === undefined || share.inFlight === 0) return;
		const { inFlight, rate } = share;
		const expectedMs = rate.expectedWaitMs(inFlight, nowMs);
		if (expectedMs !== undefined && expectedMs > LONGEST_WAIT_MS) {
			const detail = `${owner.function} has ${inFlight} in flight already, and one more would wait for ${seconds(expectedMs)} s, where ${seconds(LONGEST_WAIT_MS)} s are the most; try again`;
			throw this.#refused("late", "too_busy", detail, expectedMs);
		}
		const waiting = Math.max(LEAST_WAITING, Math.floor(this.#most * OF_ALL));
		if (inFlight >= owner.concurrency + waiting) {
			const detail = `${owner.function} has ${inFlight} in flight already: ${owner.concurrency} may run at a time, and ${waiting} wait; try again`;
			// Nothing has ended yet: in half of the start budget those who wait now have begun, or half of their time is over.
			throw this.#refused("waiting", "too_busy", detail, expectedMs ?? LONGEST_WAIT_MS);
		}
		if (inFlight < OF_FREE * room) return;
		const detail = `${owner.function} has ${inFlight} in flight already, which is its share of the ${this.#most} places that there are; try again`;
		throw this.#refused("share", "too_busy", detail, expectedMs);
	}

	#refused(reason: Refusal, code: "too_busy" | "node_full", detail: string, expectedMs: number | undefined): BerthError {
		this.#onRefused(reason);
		return new BerthError(code, detail, { extra: { retryAfterMs: retryAfterMs(expectedMs) } });
	}
}

/** What is ahead is gone by then; a second where nothing is known of that. */
function retryAfterMs(expectedMs = 0): number {
	return Math.round(Math.min(LONGEST_RETRY_MS, Math.max(SECOND_MS, expectedMs)));
}

function seconds(ms: number): string {
	return (ms / SECOND_MS).toFixed(1);
}

function keyOf({ project, function: name }: Owner): string {
	return `${project}/${name}`;
}
