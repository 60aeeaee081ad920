import type { Demand, Run } from "./demand.js";
import type { Sandbox } from "./sandbox.js";

/** What heeds its signal has ended by then. What hasn't serves nobody soon: others get a sandbox of their own. Milliseconds. */
const HEEDED_MS = 30;
/** How long a run may go on that nobody waits for any more, once somebody waits for a sandbox in its stead; and where nobody does. Milliseconds. */
const WANTED_MS = 500;
const GRACE_MS = 5000;

/** A run whose caller went away. */
interface Abandoned {
	readonly run: Run;
	readonly demand: Demand;
	readonly sandbox: Sandbox;
	timer: NodeJS.Timeout;
	/** Whether it has had the time that it has where somebody waits for a sandbox. */
	hasHadTime: boolean;
	isKilled: boolean;
}

/**
 * Runs that nobody waits for any more. Their functions were told; one that ends leaves its sandbox warm. One that doesn't is lost
 * to its version, which gets another sandbox instead, and is killed when its grace is over.
 */
export class Graces {
	readonly #onLost: () => void;
	/** Those that go on, the longest first. */
	readonly #abandoned = new Map<Run, Abandoned>();

	/** @param onLost a run is lost, or may be killed for somebody: whoever waits may be served otherwise now */
	constructor(onLost: () => void) {
		this.#onLost = onLost;
	}

	/** The function was told that its caller went away. */
	begin(run: Run, demand: Demand, sandbox: Sandbox): void {
		if (this.#abandoned.has(run)) return;
		const timer = setTimeout(() => this.#lose(abandoned), HEEDED_MS);
		const abandoned: Abandoned = { run, demand, sandbox, timer, hasHadTime: false, isKilled: false };
		this.#abandoned.set(run, abandoned);
	}

	/** It has ended. @returns whether nobody waited for it */
	end(run: Run): boolean {
		clearTimeout(this.#abandoned.get(run)?.timer);
		return this.#abandoned.delete(run);
	}

	/** Whether a run of the version goes on. */
	has(demand: Demand): boolean {
		return this.#of(demand).length > 0;
	}

	/**
	 * Somebody waits for a sandbox who would need another one: the run that has gone on for longest is killed if it has had its time.
	 * One after the other: often the first one's successor serves everybody.
	 * @param demand the version whose runs are meant; all versions' when it is memory that lacks
	 */
	cut(demand?: Demand): void {
		const of = this.#of(demand);
		if (of.some(({ isKilled }) => isKilled)) return;
		const [longest] = of;
		if (longest?.hasHadTime === true) this.#kill(longest);
	}

	#of(demand?: Demand): readonly Abandoned[] {
		return [...this.#abandoned.values()].filter((one) => demand === undefined || one.demand === demand);
	}

	#lose(abandoned: Abandoned): void {
		abandoned.run.isLost = true;
		abandoned.timer = setTimeout(() => this.#want(abandoned), WANTED_MS - HEEDED_MS);
		this.#onLost();
	}

	#want(abandoned: Abandoned): void {
		abandoned.hasHadTime = true;
		abandoned.timer = setTimeout(() => this.#kill(abandoned), GRACE_MS - WANTED_MS);
		this.#onLost();
	}

	/** A kill that fails has its sandbox retired with the rest: the engine's loss ends this process. */
	#kill(abandoned: Abandoned): void {
		if (abandoned.isKilled) return;
		abandoned.isKilled = true;
		void abandoned.sandbox.kill().catch(() => undefined);
	}
}
