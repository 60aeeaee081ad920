import {
	type Base,
	BerthError,
	FIXED_LIMITS,
	type Layer,
	LIMITS,
	RUNTIMES,
	type Runtime,
	type SandboxInfo,
	type SandboxLimits,
	type StartKind,
} from "@berth/contracts";
import { type BootKey, type BuildBoot, bootKeyOf, buildKeyOf, limitsOf, prewarmLimitsOf, versionKeyOf } from "./boot-key.js";
import { CpuLoad } from "./cpu-load.js";
import { Demand, type Run, type Waiter } from "./demand.js";
import { type LayerSource, placed, type SandboxEngine } from "./engine.js";
import { Floors } from "./floors.js";
import { IdleSandboxes } from "./idle-sandboxes.js";
import { joinedOf } from "./joined.js";
import type { Lease } from "./lease.js";
import { Population, PREWARM_BYTES } from "./population.js";
import { closing, failStart, nobodyWaits } from "./refusals.js";
import { Room } from "./room.js";
import type { Sandbox, Specialisation, VersionNames } from "./sandbox.js";
import { infoOf } from "./sandbox-info.js";
import { Shortage } from "./shortage.js";
import { startsIn } from "./start-policy.js";
import { usesOf } from "./uses.js";
import { within } from "./within.js";

export interface PoolOptions {
	readonly engine: SandboxEngine;
	readonly layers: LayerSource;
	readonly bases: Readonly<Record<Runtime | "build", Base>>;
	readonly node: string;
	/** Directory of the agents' sockets. */
	readonly agentSockets: string;
	readonly memoryBudgetBytes: number;
	/** Prewarmed sandboxes of the default memory class, per runtime. */
	readonly prewarmed: number;
	readonly prewarmedBuilds: number;
	readonly idleTtlMs: number;
	readonly cores: number;
	/** Told of sandboxes that couldn't be made, frozen or removed: nobody waits for those. */
	readonly onTrouble: (message: string, error: Error) => void;
}

/** The other runtimes keep one: it is there, and costs little until it is used. */
const MAIN_RUNTIME: Runtime = "node24";
/** How often who stands back looks whether that still makes sense: runs that drag on tell nobody, milliseconds. */
const STOOD_BACK_MS = 100;

/**
 * The sandboxes of a node. A lease is, in this order: a warm sandbox of the version; a prewarmed one,
 * specialised; a booted one; or, when memory or the version's concurrency is used up, a wait. Under a
 * burst nobody gets a start of their own while those under way, or about to be free, will do.
 */
export class Pool {
	readonly #options: PoolOptions;
	readonly #population: Population;
	readonly #floors: Floors;
	readonly #idle: IdleSandboxes;
	readonly #room: Room;
	readonly #cpu = new CpuLoad();
	readonly #demands = new Map<string, Demand>();
	readonly #shortage = new Shortage((demand) => this.#missingSoonBytes(demand));
	readonly #starts: Record<StartKind, number> = { boot: 0, prewarmed: 0, warm: 0 };
	/** Boots that a waiter waits for. */
	#boots = 0;
	#tidier: NodeJS.Timeout | undefined;
	#closed = false;

	constructor(options: PoolOptions) {
		this.#options = options;
		this.#population = new Population({
			...options,
			onRetire: (sandbox) => {
				this.#floors.remove(sandbox);
				this.#idle.remove(sandbox);
			},
			onRemoved: () => {
				this.#serveOthers();
				this.#floors.refill();
			},
		});
		this.#idle = new IdleSandboxes({
			onFrozen: (sandbox) => {
				this.#population.admission.reserve(sandbox.id, sandbox.memoryBytes());
				this.#serveOthers();
			},
			onTrouble: (sandbox, error) => this.#giveUp(sandbox, "frozen", error),
		});
		this.#floors = new Floors({
			boot: (key) => this.#population.prewarm(key).finally(() => this.#serveOthers()),
			preload: (sandbox) => this.#population.preload(sandbox),
			retire: (sandbox) => this.#population.retire(sandbox),
			// Whoever waits for a sandbox of their own, or for memory, goes first.
			isCalm: () => this.#boots === 0 && !this.#shortage.lasts,
			hasRoom: () => this.#population.admission.fits(PREWARM_BYTES),
			onTrouble: (error) => options.onTrouble("a sandbox couldn't be prewarmed", error),
		});
		this.#room = new Room(this.#population, this.#idle, this.#floors);
	}

	/** Unpacks the bases and boots the floors; resolves when they stand. */
	async start(): Promise<void> {
		const { bases, prewarmed, prewarmedBuilds, idleTtlMs } = this.#options;
		for (const name of [...RUNTIMES, "build"] as const) await this.#population.ensureLayers(bases[name].layers);
		this.#setFloors(prewarmed);
		this.#floors.set(buildKeyOf(bases.build), prewarmedBuilds);
		this.#tidier = setInterval(() => this.#tidy(), Math.min(1000, idleTtlMs));
		this.#tidier.unref();
		this.#cpu.start();
		await this.#floors.reached();
	}

	/**
	 * A sandbox of the version. @throws BerthError `start_timed_out` when none could be had in
	 * `FIXED_LIMITS.startMs`, `cancelled` when one of the signals ends the wait, `worker_lost` when the pool closes;
	 * @throws SpecialiseError when the function's module fails to load
	 */
	async acquire(target: Specialisation, ends: readonly AbortSignal[] = []): Promise<Lease> {
		this.#refuseWhenClosed();
		if (ends.some(({ aborted }) => aborted)) throw nobodyWaits();
		const demand = this.#demandOf(target);
		const askedAt = performance.now();
		const isNext = demand.waiting === 0 && !this.#standsBack(demand, askedAt);
		const warm = isNext ? this.#takeIdle(target.key) : undefined;
		if (warm !== undefined) return this.#lease(warm, demand, "warm", performance.now() - askedAt, 0);
		return await this.#wait(demand, ends);
	}

	/** A sandbox of the build class, for one build; it is thrown away after. */
	async acquireBuild(boot: BuildBoot = {}): Promise<Lease> {
		this.#refuseWhenClosed();
		const key = buildKeyOf(this.#options.bases.build, boot);
		const startedAt = performance.now();
		// A build goes on also where there is too little room: functions wait for it, not it for them.
		this.#room.make(prewarmLimitsOf(key).memoryBytes);
		const ready = this.#floors.take(key);
		const sandbox = ready ?? (await this.#population.boot(key, prewarmLimitsOf(key)));
		sandbox.move("busy");
		this.#population.admission.reserve(sandbox.id, sandbox.limits.memoryBytes);
		this.#floors.refill();
		const start = ready === undefined ? "boot" : "prewarmed";
		return { sandbox, start, startMs: performance.now() - startedAt, initMs: 0, release: () => this.#population.retire(sandbox) };
	}

	/** Makes sure that layers are unpacked on this node. */
	ensureLayers(layers: readonly Layer[]): Promise<void> {
		return this.#population.ensureLayers(layers);
	}

	/** A version was made: brings its layers here, and keeps a sandbox ready that could become it. */
	async expect({ image, manifest }: Pick<Specialisation, "image" | "manifest">, of?: VersionNames): Promise<void> {
		const key = versionKeyOf(image, manifest, this.grafts, of);
		await this.#population.ensureLayers(placed(image.base.layers, image.layers, key.ownIsRoot), key.of);
		this.#floors.expect(key, this.#options.idleTtlMs);
		this.#floors.refill();
	}

	/** Sets the floor of function sandboxes (`default`: as configured) and waits until it stands. */
	async setFloor(floor: number | "default"): Promise<number> {
		this.#setFloors(floor === "default" ? this.#options.prewarmed : floor);
		await this.#floors.reached();
		await this.#population.removalsDone();
		return this.#floors.prewarmed;
	}

	/** Retires a function's idle sandboxes. @returns how many */
	async evict(project: string, name: string): Promise<number> {
		const idle = this.#idle.ofFunction(project, name);
		for (const sandbox of idle) this.#population.retire(sandbox);
		await this.#population.removalsDone();
		return idle.length;
	}

	/** Kills one sandbox, whatever it does. @returns whether there was one of that id */
	async kill(id: string): Promise<boolean> {
		const sandbox = this.#population.get(id);
		if (sandbox === undefined) return false;
		// Nobody is to get it while it dies.
		if (sandbox.isAtRest) this.#population.retire(sandbox);
		await sandbox.kill();
		return true;
	}

	/** Who has an address on a network of functions. */
	joinedAt = (address: string) => joinedOf(this.#population.all(), address);

	list(): readonly SandboxInfo[] {
		const now = performance.now();
		return this.#population.all().map((sandbox) => infoOf(sandbox, this.#options.node, now));
	}

	get stats() {
		const { reservedBytes, budgetBytes } = this.#population.admission;
		const waiting = [...this.#demands.values()].reduce((sum, demand) => sum + demand.waiting, 0);
		return { starts: { ...this.#starts }, waiting, memoryBytes: reservedBytes, memoryBudgetBytes: budgetBytes };
	}

	/** Removes every sandbox. Nobody waits any longer. */
	async close(): Promise<void> {
		this.#closed = true;
		clearInterval(this.#tidier);
		this.#cpu.stop();
		this.#floors.close();
		for (const demand of this.#demands.values()) {
			demand.forget();
			for (let waiter = demand.next(); waiter !== undefined; waiter = demand.next()) waiter.reject(closing());
		}
		await this.#population.close();
	}

	#wait(demand: Demand, ends: readonly AbortSignal[]): Promise<Lease> {
		const { promise, resolve, reject } = Promise.withResolvers<Lease>();
		const waiter: Waiter = { sinceMs: performance.now(), resolve, reject };
		demand.add(waiter);
		const leave = () => {
			demand.remove(waiter);
			this.#went(demand, waiter);
		};
		const giveUp = () => {
			leave();
			const detail = `no sandbox for ${demand.target.key} could be had within ${FIXED_LIMITS.startMs} ms; the node is full or the function's concurrency is used up`;
			reject(new BerthError("start_timed_out", detail));
		};
		// Whose start is under way has a sandbox: how long the module may take to load is the start's to say.
		const look = () => {
			if (demand.isStartingFor(waiter)) timer = setTimeout(giveUp, FIXED_LIMITS.startMs);
			else giveUp();
		};
		const goAway = () => {
			leave();
			reject(nobodyWaits());
		};
		let timer = setTimeout(look, FIXED_LIMITS.startMs);
		for (const end of ends) end.addEventListener("abort", goAway, { once: true });
		this.#serve(demand);
		return promise.finally(() => {
			clearTimeout(timer);
			for (const end of ends) end.removeEventListener("abort", goAway);
		});
	}

	/** Starts sandboxes for those who would wait longer for a busy one than a start is worth. */
	#dispatch(demand: Demand): void {
		const { manifest } = demand.target;
		const key = this.#keyOf(demand.target);
		this.#shortage.delete(demand);
		for (let waiter = demand.unserved; waiter !== undefined && !this.#closed; waiter = demand.unserved) {
			if (demand.serving >= manifest.concurrency) return;
			const kind = this.#floors.has(key) ? "prewarmed" : "boot";
			const inMs = startsIn(demand, performance.now() - waiter.sinceMs, kind, this.#options.cores, this.#cpu);
			if (inMs > 0) {
				demand.lookAgainIn(inMs, () => this.#serve(demand));
				return;
			}
			// An idle one of its own only lacks room, of which another would need more.
			const waits = this.#idle.has(demand.target.key) || this.#standsBack(demand, waiter.sinceMs);
			if (waits || !this.#room.make(limitsOf(manifest).memoryBytes)) {
				this.#shortage.add(demand);
				return;
			}
			void this.#startFor(demand, key);
		}
	}

	/** One start for a version; it serves whoever waits longest when it is done. */
	async #startFor(demand: Demand, key: BootKey): Promise<void> {
		const { target } = demand;
		const limits = limitsOf(target.manifest);
		const prewarmed = this.#floors.take(key);
		if (prewarmed !== undefined) this.#population.admission.reserve(prewarmed.id, limits.memoryBytes);
		demand.starting++;
		let sandbox = prewarmed;
		try {
			// One that is booted with them has them brought by its boot.
			const layers = key.own === undefined ? this.#population.ensureLayers(target.image.layers) : Promise.resolve();
			// A boot that fails first is what is told; this failure is told below.
			layers.catch(() => undefined);
			sandbox ??= await this.#bootForWaiter(key, limits);
			await layers;
			if (prewarmed?.hasEnded) {
				this.#startAgain(prewarmed, demand);
				return;
			}
			sandbox.move("specialising");
			const initMs = await sandbox.specialise(target, limits, FIXED_LIMITS.startMs);
			const start = prewarmed === undefined ? "boot" : "prewarmed";
			this.#starts[start]++;
			demand.starting--;
			this.#hand(sandbox, demand, start, initMs);
		} catch (error) {
			demand.starting--;
			if (sandbox !== undefined) this.#population.retire(sandbox);
			failStart(demand, error as Error);
			this.#dispatch(demand);
		}
		// Not before: the memory that was found for this start isn't a floor's.
		this.#floors.expect(key, this.#options.idleTtlMs);
		this.#floors.refillSoon();
	}

	/** A prewarmed one died before it was anybody's: whoever it was for, if somebody still waits, has another start. */
	#startAgain(died: Sandbox, demand: Demand): void {
		demand.starting--;
		this.#population.retire(died);
		this.#dispatch(demand);
	}

	async #bootForWaiter(key: BootKey, limits: SandboxLimits): Promise<Sandbox> {
		this.#boots++;
		try {
			return await this.#population.boot(key, limits);
		} finally {
			this.#boots--;
		}
	}

	/** Gives a sandbox that has just been specialised to the longest waiter, or keeps it warm. */
	#hand(sandbox: Sandbox, demand: Demand, start: StartKind, initMs: number): void {
		const waiter = demand.next();
		if (waiter === undefined) {
			this.#park(sandbox);
			return;
		}
		waiter.resolve(this.#lease(sandbox, demand, start, Math.max(0, performance.now() - waiter.sinceMs - initMs), initMs));
	}

	#lease(sandbox: Sandbox, demand: Demand, start: StartKind, startMs: number, initMs: number): Lease {
		sandbox.move("busy");
		this.#population.admission.reserve(sandbox.id, sandbox.limits.memoryBytes);
		if (start === "warm") this.#starts.warm++;
		const run = demand.begin();
		let released = false;
		return {
			sandbox,
			start,
			startMs,
			initMs,
			release: (healthy, ran) => {
				if (released) return;
				released = true;
				if (ran !== undefined) demand.ran(ran.runMs, ran.cpuMs);
				if (sandbox.settled === undefined || !healthy) this.#takeBack(sandbox, demand, run, healthy);
				else void this.#takeBackSettled(sandbox, demand, run, ran?.runMs ?? 0);
			},
		};
	}

	/** What a handler gave to `waitUntil` may go on until the invocation's deadline; nobody else has the sandbox meanwhile. */
	async #takeBackSettled(sandbox: Sandbox, demand: Demand, run: Run, runMs: number): Promise<void> {
		run.goesOn = true;
		const leftMs = Math.max(0, demand.target.manifest.timeoutMs - runMs);
		const inTime = await within(
			(sandbox.settled ?? Promise.resolve()).then(() => true),
			leftMs,
		);
		this.#takeBack(sandbox, demand, run, inTime === true);
	}

	/** Retired by default; kept warm when the outcome was healthy and nothing of the function runs on. */
	#takeBack(sandbox: Sandbox, demand: Demand, run: Run, healthy: boolean): void {
		demand.end(run);
		if (sandbox.state !== "busy") return;
		if (!healthy || sandbox.hasEnded || this.#closed || sandbox.invocations >= usesOf(demand.target.manifest) || sandbox.hasStrays()) {
			this.#population.retire(sandbox);
			this.#dispatch(demand);
			return;
		}
		const waiter = this.#standsBack(demand, demand.oldestMs, sandbox.limits.memoryBytes) ? undefined : demand.next();
		if (waiter === undefined) {
			this.#park(sandbox);
			return;
		}
		sandbox.move("warm");
		waiter.resolve(this.#lease(sandbox, demand, "warm", performance.now() - waiter.sinceMs, 0));
		this.#went(demand, waiter);
	}

	#park(sandbox: Sandbox): void {
		if (sandbox.hasEnded) {
			this.#population.retire(sandbox);
			return;
		}
		sandbox.move("warm");
		sandbox.idleSinceMs = performance.now();
		this.#idle.add(sandbox);
		this.#serveOthers();
	}

	/** An idle sandbox of the version, awake. A frozen one counts with what it has; to run it needs its whole limit. */
	#takeIdle(key: string): Sandbox | undefined {
		for (let sandbox = this.#idle.take(key); sandbox !== undefined; sandbox = this.#idle.take(key)) {
			if (!this.#room.make(sandbox.limits.memoryBytes, sandbox.id)) {
				this.#idle.add(sandbox);
				return undefined;
			}
			try {
				if (sandbox.state === "frozen") sandbox.thaw();
				return sandbox;
			} catch (error) {
				this.#giveUp(sandbox, "thawed", error as Error);
			}
		}
		return undefined;
	}

	/** Bytes that a version's next start would still lack, were everything evicted that is idle or soon will be. */
	#missingSoonBytes(demand: Demand): number {
		const { admission } = this.#population;
		let bytes = admission.missing(limitsOf(demand.target.manifest).memoryBytes) - this.#room.evictableBytes;
		for (const other of this.#demands.values()) {
			if (other !== demand) bytes -= other.backSoon * limitsOf(other.target.manifest).memoryBytes;
		}
		return bytes;
	}

	#tidy(): void {
		for (const sandbox of this.#idle.since(performance.now() - this.#options.idleTtlMs)) this.#population.retire(sandbox);
		this.#floors.expire();
		this.#floors.refill();
		for (const [key, demand] of this.#demands) {
			if (!demand.quiet || this.#idle.has(key)) continue;
			demand.forget();
			this.#shortage.delete(demand);
			this.#demands.delete(key);
		}
	}

	/** Room or a slot came free: whoever waits longest, of whatever version, gets the first try. */
	#serveOthers(): void {
		const waiting = [...this.#demands.values()].filter((demand) => demand.unserved !== undefined);
		for (const demand of waiting.sort((a, b) => a.oldestMs - b.oldestMs)) this.#serve(demand);
	}

	/** Idle sandboxes that had no room to run may have it now; whom they don't do for may have a start. */
	#serve(demand: Demand): void {
		while (demand.waiting > 0 && !this.#standsBack(demand, demand.oldestMs)) {
			const sandbox = this.#takeIdle(demand.target.key);
			if (sandbox === undefined) break;
			const waiter = demand.next() as Waiter;
			waiter.resolve(this.#lease(sandbox, demand, "warm", performance.now() - waiter.sinceMs, 0));
		}
		this.#dispatch(demand);
	}

	/** Whether a waiter leaves what there is to another one, for now. @param returnedBytes what the version itself would give back at once */
	#standsBack(demand: Demand, sinceMs: number, returnedBytes = 0): boolean {
		if (!this.#shortage.holdsBack(demand, sinceMs, returnedBytes)) return false;
		demand.lookAgainIn(STOOD_BACK_MS, () => this.#serve(demand));
		return true;
	}

	/** A waiter of the version waits no longer: others may have stood back for that one. */
	#went(demand: Demand, { sinceMs }: Waiter): void {
		if (this.#shortage.mayHoldBack(demand, sinceMs)) this.#serveOthers();
	}

	#giveUp(sandbox: Sandbox, what: string, error: Error): void {
		this.#options.onTrouble(`${sandbox.id} couldn't be ${what}`, error);
		this.#population.retire(sandbox);
	}

	#refuseWhenClosed(): void {
		if (this.#closed) throw closing();
	}

	/** An engine that can't graft has no use for sandboxes that nobody's layers are in. */
	#setFloors(count: number): void {
		if (!this.grafts) return;
		for (const runtime of RUNTIMES) {
			const key = bootKeyOf(this.#options.bases[runtime], { runtime, memoryMiB: LIMITS.memoryMiB.default, network: "none" });
			this.#floors.set(key, runtime === MAIN_RUNTIME ? count : Math.min(1, count));
		}
	}

	#keyOf({ image, manifest, project, function: name, version }: Specialisation): BootKey {
		return versionKeyOf(image, manifest, this.grafts, { project, function: name, version });
	}

	/** Whether a sandbox can be given layers when it has booted. */
	get grafts(): boolean {
		return this.#options.engine.grafts;
	}

	#demandOf(target: Specialisation): Demand {
		let demand = this.#demands.get(target.key);
		if (demand === undefined) {
			demand = new Demand(target);
			this.#demands.set(target.key, demand);
		}
		return demand;
	}
}
