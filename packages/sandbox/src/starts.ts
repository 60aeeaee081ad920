import { FIXED_LIMITS, type SandboxLimits, type StartKind } from "@berth/contracts";
import { type BootKey, limitsOf } from "./boot-key.js";
import type { CrashLoops } from "./crash-loops.js";
import type { Demand } from "./demand.js";
import type { Floors } from "./floors.js";
import type { Population } from "./population.js";
import { failStart } from "./refusals.js";
import type { Sandbox } from "./sandbox.js";
import { SpecialiseError } from "./specialise-error.js";

export interface StartsOptions {
	readonly population: Population;
	readonly floors: Floors;
	readonly crashLoops: CrashLoops;
	readonly idleTtlMs: number;
	/** Gets each sandbox that has been specialised. */
	readonly started: (sandbox: Sandbox, demand: Demand, start: StartKind, initMs: number) => void;
	/** A start came to nothing: whoever still waits may have another. */
	readonly failed: (demand: Demand) => void;
}

/** Starts of sandboxes for versions that somebody waits for. */
export class Starts {
	readonly #options: StartsOptions;
	/** How sandboxes came to their invocations. */
	readonly counts: Record<StartKind, number> = { boot: 0, prewarmed: 0, warm: 0 };
	#boots = 0;

	constructor(options: StartsOptions) {
		this.#options = options;
	}

	/** Boots that a waiter waits for. */
	get boots(): number {
		return this.#boots;
	}

	/** One start for a version; it serves whoever waits longest when it is done. Memory for it has been found. @returns whether it came to something */
	async begin(demand: Demand, key: BootKey): Promise<boolean> {
		const { population, floors, idleTtlMs, started } = this.#options;
		const { target } = demand;
		const limits = limitsOf(target.manifest);
		const prewarmed = floors.take(key, target.project);
		if (prewarmed !== undefined) population.admission.reserve(prewarmed.id, limits.memoryBytes);
		demand.starting++;
		let sandbox = prewarmed;
		let isThere = false;
		try {
			// One that is booted with them has them brought by its boot.
			const layers = key.own === undefined ? population.ensureLayers(target.image.layers) : Promise.resolve();
			// A boot that fails first is what is told; this failure is told below.
			layers.catch(() => undefined);
			sandbox ??= await this.#boot(key, limits, target.project, demand.waiting > 0);
			await layers;
			if (prewarmed?.hasEnded) {
				this.#again(prewarmed, demand);
				return false;
			}
			sandbox.move("specialising");
			const initMs = await sandbox.specialise(target, limits, FIXED_LIMITS.startMs);
			const start = prewarmed === undefined ? "boot" : "prewarmed";
			// One that nobody waits for comes to its invocation warm.
			if (demand.waiting > 0) this.counts[start]++;
			demand.starting--;
			isThere = true;
			started(sandbox, demand, start, initMs);
		} catch (error) {
			demand.starting--;
			if (sandbox !== undefined) population.retire(sandbox);
			this.#note(demand, error);
			failStart(demand, error as Error);
			this.#options.failed(demand);
		}
		// Not before: the memory that was found for this start isn't a floor's.
		floors.expect(key, idleTtlMs);
		floors.refillSoon();
		return isThere;
	}

	/** What can't be loaded costs a sandbox, whether it threw, hung or ended. */
	#note(demand: Demand, error: unknown): void {
		if (!(error instanceof SpecialiseError) || error.outcome === "platform_error") return;
		const { outcome, message } = error;
		this.#options.crashLoops.crashed(demand.target, { outcome, error: message, invocation: demand.first?.nesting.invocation ?? "" });
	}

	/** A prewarmed one died before it was anybody's: whoever it was for, if somebody still waits, has another start. */
	#again(died: Sandbox, demand: Demand): void {
		demand.starting--;
		this.#options.population.retire(died);
		this.#options.failed(demand);
	}

	async #boot(key: BootKey, limits: SandboxLimits, project: string, isWaitedFor: boolean): Promise<Sandbox> {
		const counts = isWaitedFor ? 1 : 0;
		this.#boots += counts;
		try {
			return await this.#options.population.boot(key, limits, undefined, project);
		} finally {
			this.#boots -= counts;
		}
	}
}
