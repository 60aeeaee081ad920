import type { AtWork } from "./at-work.js";
import type { BootKey } from "./boot-key.js";
import type { CrashLoops } from "./crash-loops.js";
import { bytesOf, type Demands } from "./demands.js";
import type { IdleSandboxes } from "./idle-sandboxes.js";
import { ROOT } from "./nesting.js";
import type { Population } from "./population.js";
import type { Starts } from "./starts.js";
import type { Specialisation } from "./version-target.js";

export interface AheadStartsOptions {
	readonly demands: Demands;
	readonly starts: Starts;
	readonly atWork: AtWork;
	readonly idle: IdleSandboxes;
	readonly population: Population;
	readonly crashLoops: CrashLoops;
	readonly keyOf: (target: Specialisation) => BootKey;
	/** Whether nobody waits for a boot or for memory. */
	readonly isCalm: () => boolean;
}

/** Starts of sandboxes that nobody waits for yet: only of what nobody else needs now, and at nobody's expense. */
export class AheadStarts {
	readonly #options: AheadStartsOptions;

	constructor(options: AheadStartsOptions) {
		this.#options = options;
	}

	/** How many sandboxes a version has, idle and at work, those among them that are being started. */
	count(key: string): number {
		return this.serving(key) + this.#options.idle.ofVersion(key).length;
	}

	/** Those of them that aren't idle. */
	serving(key: string): number {
		return this.#options.demands.servingOf(key);
	}

	/** @returns whether there is one more; `later` when this isn't the time for it: somebody waits for a boot or for memory, or its version crashes again and again */
	async start(target: Specialisation): Promise<boolean | "later"> {
		const { demands, starts, atWork, population, crashLoops, keyOf, isCalm } = this.#options;
		if (!isCalm() || this.count(target.key) >= target.manifest.concurrency) return "later";
		const demand = demands.of(target);
		const bytes = bytesOf(demand);
		const isRoom = population.admission.fits(bytes) && atWork.leavesEnough(bytes, ROOT.depth);
		if (!isRoom || crashLoops.refusal(target, demand.serving) !== undefined) return "later";
		atWork.starts(bytes);
		return await starts.begin(demand, keyOf(target));
	}
}
