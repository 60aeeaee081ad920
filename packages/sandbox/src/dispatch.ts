import type { CrashLoop, StartKind } from "@berth/contracts";
import { AheadStarts } from "./ahead-starts.js";
import { AtWork } from "./at-work.js";
import { type AwakeOptions, takeAwake } from "./awake.js";
import { type BootKey, versionKeyOf } from "./boot-key.js";
import type { CpuLoad } from "./cpu-load.js";
import type { CrashLoops } from "./crash-loops.js";
import type { Demand, Run, Waiter } from "./demand.js";
import { askingOf, bytesOf, Demands } from "./demands.js";
import type { Floors } from "./floors.js";
import { Graces } from "./graces.js";
import type { Rhythms } from "./keep-alive/rhythms.js";
import type { Lease } from "./lease.js";
import { Leases } from "./leases.js";
import type { Nesting } from "./nesting.js";
import type { Sandbox } from "./sandbox.js";
import { type Asking, Shortage } from "./shortage.js";
import { type Lack, Standstill } from "./standstill.js";
import { startsIn } from "./start-policy.js";
import { Starts } from "./starts.js";
import { Turns } from "./turns.js";
import { usesOf } from "./uses.js";
import { type Specialisation, sameSecrets } from "./version-target.js";
import { waitFor } from "./waiting.js";

/** How often who stands back looks whether that still makes sense: runs that drag on tell nobody, milliseconds. */
const STOOD_BACK_MS = 100;

export interface DispatchOptions extends AwakeOptions {
	readonly floors: Floors;
	readonly cpu: CpuLoad;
	readonly cores: number;
	readonly crashLoops: CrashLoops;
	readonly rhythms: Rhythms;
	readonly idleTtlMs: number;
	/** Whether sandboxes can be given layers when they have booted. */
	readonly grafts: boolean;
}

/** Who gets which sandbox, and when one more is started. Under a burst nobody gets a start of their own while those under way, or about to be free, will do. */
export class Dispatch {
	readonly #options: DispatchOptions;
	readonly #starts: Starts;
	readonly #turns = new Turns();
	readonly #demands = new Demands(this.#turns);
	readonly #shortage = new Shortage((demand) => this.#missingSoonBytes(demand), this.#turns);
	readonly #standstill: Standstill;
	readonly #atWork: AtWork;
	readonly #graces = new Graces(() => this.serveOthers());
	readonly #leases: Leases;
	/** Starts that nobody waits for. */
	readonly ahead: AheadStarts;
	#closed = false;

	constructor(options: DispatchOptions) {
		this.#options = options;
		this.#atWork = new AtWork(options.population.admission.budgetBytes);
		this.#leases = new Leases({
			...options,
			atWork: this.#atWork,
			graces: this.#graces,
			turns: this.#turns,
			returned: (sandbox, demand, run, healthy) => this.#takeBack(sandbox, demand, run, healthy),
		});
		this.#standstill = new Standstill({
			demands: () => this.#demands.all(),
			lacksMemory: (demand) => this.#shortage.has(demand),
			sandboxes: () => options.population.all(),
		});
		this.#starts = new Starts({
			...options,
			started: (sandbox, demand, start, initMs) => {
				this.#atWork.started(bytesOf(demand));
				this.#hand(sandbox, demand, start, initMs);
			},
			failed: (demand) => {
				this.#atWork.started(bytesOf(demand));
				this.#dispatch(demand);
			},
		});
		this.ahead = new AheadStarts({
			...options,
			demands: this.#demands,
			starts: this.#starts,
			atWork: this.#atWork,
			keyOf: (target) => this.#keyOf(target),
			isCalm: () => this.isCalm && !this.#closed,
		});
	}

	/** As `Pool.acquire`. */
	async acquire(target: Specialisation, ends: readonly AbortSignal[], nesting: Nesting): Promise<Lease> {
		const demand = this.#demands.of(target);
		const askedAt = performance.now();
		const isNext = demand.waiting === 0 && this.#mayTake(demand, { sinceMs: askedAt, depth: nesting.depth });
		const warm = isNext ? takeAwake(demand.target, this.#options) : undefined;
		if (warm !== undefined) return this.#leaseWarm(warm, demand, nesting, askedAt);
		const failing = this.#options.crashLoops.refusal(target, demand.serving);
		if (failing !== undefined) throw failing;
		return await waitFor(demand, ends, nesting, {
			began: () => this.#serve(demand),
			left: (waiter) => this.#went(demand, waiter),
			lacks: () => this.#lackOf(demand),
		});
	}

	/** What keeps a version from one more sandbox, as far as it isn't the CPUs. */
	#lackOf(demand: Demand): Lack | undefined {
		if (demand.serving >= demand.target.manifest.concurrency) return "concurrency";
		return this.#shortage.has(demand) ? "memory" : undefined;
	}

	/** As `Pool.crashLoop`. */
	crashLoop(key: string): CrashLoop | undefined {
		return this.#options.idle.has(key) ? undefined : this.#options.crashLoops.of(key, this.#demands.servingOf(key));
	}

	/** As `Pool.waits`. */
	waits(invocation: string): () => void {
		return this.#atWork.waits(invocation);
	}

	/** Whether nobody waits for a boot or for memory. */
	get isCalm(): boolean {
		return this.#starts.boots === 0 && !this.#shortage.lasts;
	}

	/** Whether several projects have had sandboxes here lately, and nobody waits for memory. */
	get isShared(): boolean {
		return this.#turns.projects > 1 && !this.#shortage.lasts;
	}

	get stats(): { readonly starts: Readonly<Record<StartKind, number>>; readonly waiting: number } {
		return { starts: { ...this.#starts.counts }, waiting: this.#demands.waiting };
	}

	/** Room or a slot came free: the deepest, of those the project and version whose turn it is, gets the first try. */
	serveOthers(): void {
		for (const demand of this.#demands.unserved()) this.#serve(demand);
	}

	/** Forgets versions of which nobody asks, runs or rests any sandbox, and projects that had none for as long as one may rest. */
	forgetQuiet(): void {
		for (const demand of this.#demands.forgetQuiet((key) => this.#options.idle.has(key))) this.#shortage.delete(demand);
		this.#options.crashLoops.forgetOld();
		this.#turns.forgetBefore(performance.now() - this.#options.idleTtlMs);
	}

	/** Nobody waits any longer, and what comes back is retired. */
	close(): void {
		this.#closed = true;
		this.#demands.close();
	}

	/** Starts sandboxes for those who would wait longer for a busy one than a start is worth. */
	#dispatch(demand: Demand): void {
		const { manifest } = demand.target;
		const key = this.#keyOf(demand.target);
		this.#shortage.delete(demand);
		for (let waiter = demand.unserved; waiter !== undefined && !this.#closed; waiter = demand.unserved) {
			const failing = this.#options.crashLoops.refusal(demand.target, demand.serving);
			if (failing !== undefined) {
				demand.refuseUnserved(failing);
				return;
			}
			const isFull = demand.serving >= manifest.concurrency;
			if (isFull) this.#standstill.refuse(demand, "concurrency");
			if (isFull && !this.#graces.has(demand)) return;
			const kind = this.#options.floors.has(key, demand.target.project) ? "prewarmed" : "boot";
			const inMs = startsIn(demand, performance.now() - waiter.sinceMs, kind, this.#options.cores, this.#options.cpu);
			if (inMs > 0) {
				demand.lookAgainIn(inMs, () => this.#serve(demand));
				return;
			}
			this.#graces.cut(demand);
			if (isFull) return;
			// An idle one of its own only lacks room, of which another would need more.
			const waits = this.#options.idle.has(demand.target.key) || !this.#mayTake(demand, askingOf(waiter));
			if (waits || !this.#options.room.make(bytesOf(demand))) {
				this.#graces.cut();
				this.#shortage.add(demand);
				this.#standstill.refuse(demand, "memory");
				return;
			}
			this.#atWork.starts(bytesOf(demand));
			void this.#starts.begin(demand, key);
		}
	}

	/** Gives a sandbox that has just been specialised to the longest waiter, or keeps it warm. */
	#hand(sandbox: Sandbox, demand: Demand, start: StartKind, initMs: number): void {
		if (!sameSecrets(sandbox.specialisation, demand.target)) {
			this.#options.population.retire(sandbox);
			this.#dispatch(demand);
			return;
		}
		const waiter = demand.next();
		if (waiter === undefined) {
			this.#park(sandbox);
			return;
		}
		const startMs = Math.max(0, performance.now() - waiter.sinceMs - initMs);
		waiter.resolve(this.#leases.begin(sandbox, demand, waiter.nesting, start, startMs, initMs));
	}

	/** Gives one that rested to somebody who has asked since then. */
	#leaseWarm(sandbox: Sandbox, demand: Demand, nesting: Nesting, sinceMs: number): Lease {
		this.#starts.counts.warm++;
		return this.#leases.begin(sandbox, demand, nesting, "warm", performance.now() - sinceMs, 0);
	}

	/** Retired by default; kept warm when the outcome was healthy and nothing of the function runs on. */
	#takeBack(sandbox: Sandbox, demand: Demand, run: Run, healthy: boolean): void {
		demand.end(run);
		this.#atWork.end(run, sandbox.limits.memoryBytes);
		if (sandbox.state !== "busy") return;
		const isUsedUp = sandbox.invocations >= usesOf(demand.target.manifest) || !sameSecrets(sandbox.specialisation, demand.target);
		if (!healthy || sandbox.hasEnded || this.#closed || isUsedUp || sandbox.hasStrays()) {
			this.#options.population.retire(sandbox);
			this.#dispatch(demand);
			return;
		}
		const { first } = demand;
		const waiter = first && this.#mayTake(demand, askingOf(first), sandbox.limits.memoryBytes) ? demand.next() : undefined;
		if (waiter === undefined) {
			this.#park(sandbox);
			return;
		}
		sandbox.move("warm");
		waiter.resolve(this.#leaseWarm(sandbox, demand, waiter.nesting, waiter.sinceMs));
		this.#went(demand, waiter);
	}

	#park(sandbox: Sandbox): void {
		if (sandbox.hasEnded) {
			this.#options.population.retire(sandbox);
			return;
		}
		sandbox.move("warm");
		sandbox.idleSinceMs = performance.now();
		this.#options.idle.add(sandbox);
		this.serveOthers();
	}

	/** Bytes that a version's next start would still lack, were everything evicted that is idle or soon will be. */
	#missingSoonBytes(demand: Demand): number {
		const { admission } = this.#options.population;
		return admission.missing(bytesOf(demand)) - this.#options.room.evictableBytes - this.#demands.backSoonBytes(demand);
	}

	/** Idle sandboxes that had no room to run may have it now; whom they don't do for may have a start. */
	#serve(demand: Demand): void {
		for (let { first } = demand; first !== undefined && this.#mayTake(demand, askingOf(first)); { first } = demand) {
			const sandbox = takeAwake(demand.target, this.#options);
			if (sandbox === undefined) break;
			const waiter = demand.next() as Waiter;
			waiter.resolve(this.#leaseWarm(sandbox, demand, waiter.nesting, waiter.sinceMs));
		}
		this.#dispatch(demand);
	}

	/**
	 * Whether a waiter may take what there is, or leaves it for now to one that goes before, or to those that runs wait for.
	 * @param returnedBytes what the version itself would give back at once
	 */
	#mayTake(demand: Demand, asking: Asking, returnedBytes = 0): boolean {
		if (!this.#atWork.leavesEnough(bytesOf(demand), asking.depth)) return false;
		if (!this.#shortage.holdsBack(demand, asking, returnedBytes)) return true;
		demand.lookAgainIn(STOOD_BACK_MS, () => this.#serve(demand));
		return false;
	}

	/** A waiter of the version waits no longer: others may have stood back for that one. */
	#went(demand: Demand, waiter: Waiter): void {
		if (this.#shortage.mayHoldBack(demand, waiter)) this.serveOthers();
	}

	#keyOf({ image, manifest, project, function: name, version }: Specialisation): BootKey {
		return versionKeyOf(image, manifest, this.#options.grafts, { project, function: name, version });
	}
}
