import type { StartKind } from "@berth/contracts";
import type { AtWork } from "./at-work.js";
import type { CpuLoad } from "./cpu-load.js";
import type { CrashLoops } from "./crash-loops.js";
import type { Demand, Run } from "./demand.js";
import type { Graces } from "./graces.js";
import type { Rhythms } from "./keep-alive/rhythms.js";
import type { Lease } from "./lease.js";
import type { Nesting } from "./nesting.js";
import type { Population } from "./population.js";
import type { Sandbox } from "./sandbox.js";
import type { Turns } from "./turns.js";
import { within } from "./within.js";

export interface LeasesOptions {
	readonly population: Population;
	readonly cpu: CpuLoad;
	readonly atWork: AtWork;
	readonly graces: Graces;
	readonly turns: Turns;
	readonly crashLoops: CrashLoops;
	readonly rhythms: Rhythms;
	/** Told when a lease is over, and with it what its invocation gave to `waitUntil`. */
	readonly returned: (sandbox: Sandbox, demand: Demand, run: Run, healthy: boolean) => void;
}

/** Gives sandboxes out, and has them back once. */
export class Leases {
	readonly #options: LeasesOptions;

	constructor(options: LeasesOptions) {
		this.#options = options;
	}

	begin(sandbox: Sandbox, demand: Demand, nesting: Nesting, start: StartKind, startMs: number, initMs: number): Lease {
		const { population, atWork, graces, turns, crashLoops, cpu, rhythms } = this.#options;
		sandbox.move("busy");
		population.admission.reserve(sandbox.id, sandbox.limits.memoryBytes);
		const run = demand.begin(nesting);
		turns.had(demand);
		rhythms.began(demand.target, run.sinceMs);
		atWork.begin(run, sandbox.limits.memoryBytes);
		let released = false;
		return {
			sandbox,
			start,
			startMs,
			initMs,
			abandon: () => {
				if (!released) graces.begin(run, demand, sandbox);
			},
			release: (healthy, ran) => {
				if (released) return;
				released = true;
				// How long one went on that was cut short says nothing of the next.
				const wasAbandoned = graces.end(run);
				if (ran !== undefined && !wasAbandoned) {
					demand.ran(ran.runMs, ran.cpuMs, cpu.saturated);
					if (ran.end === "answered") crashLoops.answered(demand.target);
					else if (ran.end !== undefined) crashLoops.crashed(demand.target, ran.end);
				}
				if (sandbox.settled === undefined || !healthy) this.#return(sandbox, demand, run, healthy);
				else void this.#returnSettled(sandbox, demand, run, ran?.runMs ?? 0);
			},
		};
	}

	/** What a handler gave to `waitUntil` may go on until the invocation's deadline; nobody else has the sandbox meanwhile. */
	async #returnSettled(sandbox: Sandbox, demand: Demand, run: Run, runMs: number): Promise<void> {
		run.goesOn = true;
		const leftMs = Math.max(0, demand.target.manifest.timeoutMs - runMs);
		const inTime = await within(
			(sandbox.settled ?? Promise.resolve()).then(() => true),
			leftMs,
		);
		this.#return(sandbox, demand, run, inTime === true);
	}

	#return(sandbox: Sandbox, demand: Demand, run: Run, healthy: boolean): void {
		this.#options.rhythms.ended(demand.target, performance.now());
		this.#options.returned(sandbox, demand, run, healthy);
	}
}
