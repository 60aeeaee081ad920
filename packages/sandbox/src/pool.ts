import {
	type Base,
	BerthError,
	FIXED_LIMITS,
	LIMITS,
	type Manifest,
	MIB,
	memoryClassOf,
	type Runtime,
	type SandboxInfo,
	type SandboxLimits,
	type StartKind,
} from "@berth/contracts";
import { Admission } from "./admission.js";
import type { LayerSource, SandboxEngine } from "./engine.js";
import type { Lease } from "./lease.js";
import { type BootKey, Sandbox, type Specialisation, SpecialiseError } from "./sandbox.js";
import { VersionDemand, type Waiter } from "./waiting.js";

/** What a start is expected to cost, milliseconds: a waiter who'd be served sooner by a busy sandbox waits. */
const START_COST_MS = { prewarmed: 5, boot: 60 } as const;
/** A sandbox that gets no request for so long is frozen, milliseconds. */
const FREEZE_AFTER_MS = 20;
const BUILD_PIDS = 128;
const BUILD_MEMORY_MIB = 1024;
const BUILD_TMPFS_MIB = 256;
const BUILD_INODES = 8192;
/** Boots for the floor that run at the same time: they must not starve the invocations. */
const MAX_FLOOR_BOOTS = 2;

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
	/** Told of sandboxes that couldn't be made or removed: nobody waits for those. */
	readonly onTrouble: (message: string, error: Error) => void;
}

/**
 * The sandboxes of a node. A lease is, in this order: a warm sandbox of the version; a prewarmed one,
 * specialised; a booted one; or, when memory or the version's concurrency is used up, a wait. Under a
 * burst nobody gets a start of their own while those under way, or about to be free, will do.
 */
export class Pool {
	readonly #options: PoolOptions;
	readonly #admission: Admission;
	readonly #sandboxes = new Map<string, Sandbox>();
	readonly #prewarmed = new Map<string, Sandbox[]>();
	readonly #warm = new Map<string, Sandbox[]>();
	readonly #demand = new Map<string, VersionDemand>();
	readonly #floors = new Map<string, { readonly key: BootKey; floor: number; booting: number }>();
	readonly #timers = new Map<string, NodeJS.Timeout>();
	readonly #removals = new Set<Promise<void>>();
	readonly #starts: Record<StartKind, number> = { boot: 0, prewarmed: 0, warm: 0 };
	#floorWaiters: (() => void)[] = [];
	#evictor: NodeJS.Timeout | undefined;
	#closed = false;

	constructor(options: PoolOptions) {
		this.#options = options;
		this.#admission = new Admission(options.memoryBudgetBytes);
		options.engine.onExit(({ sandbox, code }) => this.#sandboxes.get(sandbox)?.exited(code));
	}

	/** Unpacks the bases and boots the floor; resolves when it stands. */
	async start(): Promise<void> {
		const { bases, engine, layers, prewarmed, prewarmedBuilds } = this.#options;
		for (const base of Object.values(bases))
			await engine.ensureLayers(
				base.layers.map(({ digest }) => digest),
				layers,
			);
		const standard = memoryClassOf(LIMITS.memoryMiB.default);
		for (const runtime of ["node24", "node22"] as const) {
			// The second runtime keeps one: it is there, and costs little until it is used.
			const floor = runtime === "node24" ? prewarmed : Math.min(1, prewarmed);
			this.#addFloor({ kind: "function", base: bases[runtime], memoryClass: standard }, floor);
		}
		this.#addFloor(this.#buildKey(), prewarmedBuilds);
		this.#evictor = setInterval(() => this.#evictIdle(), Math.min(1000, this.#options.idleTtlMs));
		this.#evictor.unref();
		await this.floorReached();
	}

	/**
	 * A sandbox of the version. @throws BerthError `start_timed_out` when none could be had in
	 * `FIXED_LIMITS.startMs`; @throws SpecialiseError when the function's module fails to load
	 */
	async acquire(target: Specialisation): Promise<Lease> {
		const warm = this.#takeWarm(target);
		if (warm !== undefined) {
			const startedAt = performance.now();
			if (warm.state === "frozen") await warm.thaw();
			this.#starts.warm++;
			warm.move("busy");
			return this.#lease(warm, "warm", performance.now() - startedAt, 0);
		}
		return await this.#wait(target);
	}

	/** A sandbox of the build class, for one build; it is thrown away after. */
	async acquireBuild(): Promise<Lease> {
		const key = this.#buildKey();
		const startedAt = performance.now();
		const ready = this.#takePrewarmed(key);
		const sandbox = ready ?? (await this.#boot(key, buildLimits()));
		if (ready === undefined) sandbox.move("prewarmed");
		sandbox.move("busy");
		this.#refill();
		const startMs = performance.now() - startedAt;
		return { sandbox, start: ready === undefined ? "boot" : "prewarmed", startMs, initMs: 0, release: () => this.#retire(sandbox) };
	}

	/** Sets the floor of function sandboxes (`default`: as configured) and waits until it stands. */
	async setFloor(floor: number | "default"): Promise<number> {
		for (const entry of this.#floors.values()) {
			if (entry.key.kind === "build") continue;
			const standard = entry.key.base === this.#options.bases.node24 ? this.#options.prewarmed : Math.min(1, this.#options.prewarmed);
			entry.floor = floor === "default" || entry.key.base !== this.#options.bases.node24 ? standard : floor;
			for (const extra of (this.#prewarmed.get(keyText(entry.key)) ?? []).slice(entry.floor)) this.#retire(extra);
		}
		await this.floorReached();
		return this.#prewarmedCount();
	}

	/** Resolves when every floor stands, nothing is being booted for one and no removal is under way. */
	async floorReached(): Promise<void> {
		this.#refill();
		while (!this.#floorStands()) await new Promise<void>((resolve) => this.#floorWaiters.push(resolve));
		while (this.#removals.size > 0) await Promise.all(this.#removals);
	}

	/** Retires a function's idle sandboxes. @returns how many */
	async evict(project: string, name: string): Promise<number> {
		const prefix = `${project}/${name}:`;
		const idle = [...this.#warm].filter(([key]) => key.startsWith(prefix)).flatMap(([, list]) => list);
		for (const sandbox of idle) this.#retire(sandbox);
		while (this.#removals.size > 0) await Promise.all(this.#removals);
		return idle.length;
	}

	/** Kills one sandbox, whatever it does. @returns whether there was one of that id */
	async kill(id: string): Promise<boolean> {
		const sandbox = this.#sandboxes.get(id);
		if (sandbox === undefined) return false;
		await sandbox.kill();
		return true;
	}

	list(): readonly SandboxInfo[] {
		const now = performance.now();
		return [...this.#sandboxes.values()].map((sandbox) => ({
			id: sandbox.id,
			node: this.#options.node,
			state: sandbox.state,
			kind: sandbox.bootKey.kind,
			...(sandbox.specialisation === undefined
				? {}
				: { project: sandbox.specialisation.project, function: sandbox.specialisation.function, version: sandbox.specialisation.version }),
			memoryClassMiB: sandbox.bootKey.memoryClass,
			memoryBytes: sandbox.memoryBytes(),
			ageMs: Math.round(now - sandbox.bornAtMs),
			idleMs: sandbox.state === "busy" ? 0 : Math.round(now - sandbox.idleSinceMs),
			invocations: sandbox.invocations,
		}));
	}

	get stats() {
		const waiting = [...this.#demand.values()].reduce((sum, { waiters }) => sum + waiters.filter(({ done }) => !done).length, 0);
		return {
			starts: { ...this.#starts },
			waiting,
			memoryBytes: this.#admission.reservedBytes,
			memoryBudgetBytes: this.#admission.budgetBytes,
		};
	}

	/** Removes every sandbox. */
	async close(): Promise<void> {
		this.#closed = true;
		clearInterval(this.#evictor);
		for (const sandbox of [...this.#sandboxes.values()]) this.#retire(sandbox);
		while (this.#removals.size > 0) await Promise.all(this.#removals);
	}

	#wait(target: Specialisation): Promise<Lease> {
		const { promise, resolve, reject } = Promise.withResolvers<Lease>();
		const demand = this.#demandOf(target.key);
		const waiter: Waiter = { target, sinceMs: performance.now(), resolve, reject, done: false };
		demand.waiters.push(waiter);
		const timer = setTimeout(() => this.#giveUp(waiter), FIXED_LIMITS.startMs);
		this.#dispatch(target, demand);
		return promise.finally(() => clearTimeout(timer));
	}

	#giveUp(waiter: Waiter): void {
		waiter.done = true;
		const detail = `no sandbox for ${waiter.target.key} could be had within ${FIXED_LIMITS.startMs} ms; the node is full or the function's concurrency is used up`;
		waiter.reject(new BerthError("start_timed_out", detail));
	}

	/** Starts as many sandboxes as there are waiters who'd wait longer for one than for a start. */
	#dispatch(target: Specialisation, demand: VersionDemand): void {
		while (demand.waiters.length > demand.starting) {
			if (demand.busy + demand.starting >= target.manifest.concurrency) return;
			const kind = this.#hasPrewarmed(this.#keyOf(target.manifest)) ? "prewarmed" : "boot";
			const cost = START_COST_MS[kind];
			if (demand.expectedWaitMs() < cost) {
				this.#lookAgain(target, demand, cost);
				return;
			}
			if (!this.#makeRoom(this.#limitsOf(target.manifest).memoryBytes)) return;
			void this.#startFor(target, demand);
		}
	}

	/** The expectation may be wrong: whoever still waits after a start's cost gets one. */
	#lookAgain(target: Specialisation, demand: VersionDemand, afterMs: number): void {
		const oldest = demand.waiters[0];
		setTimeout(() => {
			if (oldest === undefined || oldest.done || demand.waiters[0] !== oldest) return;
			if (demand.busy + demand.starting >= target.manifest.concurrency) return;
			if (this.#makeRoom(this.#limitsOf(target.manifest).memoryBytes)) void this.#startFor(target, demand);
		}, afterMs).unref();
	}

	/** One start for a version; it serves whoever waits longest when it is done. */
	async #startFor(target: Specialisation, demand: VersionDemand): Promise<void> {
		demand.starting++;
		const startedAt = performance.now();
		let sandbox: Sandbox | undefined;
		try {
			const limits = this.#limitsOf(target.manifest);
			const prewarmed = this.#takePrewarmed(this.#keyOf(target.manifest));
			if (prewarmed !== undefined) this.#admission.reserve(prewarmed.id, limits.memoryBytes);
			const layers = this.#options.engine.ensureLayers(
				target.image.layers.map(({ digest }) => digest),
				this.#options.layers,
			);
			sandbox = prewarmed ?? (await this.#boot(this.#keyOf(target.manifest), limits));
			await layers;
			sandbox.move("specialising");
			const start = prewarmed === undefined ? "boot" : "prewarmed";
			const initMs = await sandbox.specialise(target, limits, FIXED_LIMITS.startMs);
			this.#starts[start]++;
			demand.starting--;
			const totalMs = performance.now() - startedAt;
			this.#hand(sandbox, demand, start, Math.max(0, totalMs - initMs), initMs);
		} catch (error) {
			demand.starting--;
			if (sandbox !== undefined) this.#retire(sandbox);
			this.#failStart(demand, error as Error);
			this.#dispatch(target, demand);
		}
		this.#refill();
	}

	/** A start that failed fails the waiter it was for, not all of them. */
	#failStart(demand: VersionDemand, error: Error): void {
		const waiter = demand.next();
		if (waiter === undefined) return;
		waiter.done = true;
		const known = error instanceof SpecialiseError || error instanceof BerthError;
		waiter.reject(known ? error : new BerthError("platform_error", `a sandbox couldn't be started: ${error.message}`, { cause: error }));
	}

	/** Gives a sandbox that is ready to the longest waiter, or keeps it warm. */
	#hand(sandbox: Sandbox, demand: VersionDemand, start: StartKind, startMs: number, initMs: number): void {
		const waiter = demand.next();
		if (waiter === undefined) {
			this.#keepWarm(sandbox);
			return;
		}
		waiter.done = true;
		sandbox.move("busy");
		waiter.resolve(this.#lease(sandbox, start, start === "warm" ? performance.now() - waiter.sinceMs : startMs, initMs));
	}

	#lease(sandbox: Sandbox, start: StartKind, startMs: number, initMs: number): Lease {
		const target = sandbox.specialisation as Specialisation;
		this.#admission.reserve(sandbox.id, sandbox.limits.memoryBytes);
		const demand = this.#demandOf(target.key);
		demand.busy++;
		let released = false;
		return {
			sandbox,
			start,
			startMs,
			initMs,
			release: (healthy, runMs) => {
				if (released) return;
				released = true;
				demand.busy--;
				demand.ran(runMs);
				void this.#takeBack(sandbox, demand, healthy);
			},
		};
	}

	/** Retired by default; kept warm when the outcome was healthy and nothing of the function runs on. */
	async #takeBack(sandbox: Sandbox, demand: VersionDemand, healthy: boolean): Promise<void> {
		const target = sandbox.specialisation as Specialisation;
		const { manifest } = target;
		const uses = manifest.reuse === "version" ? Number.POSITIVE_INFINITY : manifest.reuse === "never" ? 1 : manifest.reuse;
		if (!healthy || sandbox.invocations >= uses || this.#closed || sandbox.hasStrays(0)) {
			this.#retire(sandbox);
			this.#dispatch(target, demand);
			return;
		}
		if (manifest.scratch === "fresh") await sandbox.wipe();
		if (sandbox.state !== "busy") return;
		const waiter = demand.next();
		sandbox.move("warm");
		if (waiter === undefined) {
			this.#park(sandbox);
			return;
		}
		waiter.done = true;
		this.#starts.warm++;
		sandbox.move("busy");
		waiter.resolve(this.#lease(sandbox, "warm", performance.now() - waiter.sinceMs, 0));
	}

	#keepWarm(sandbox: Sandbox): void {
		sandbox.move("warm");
		this.#park(sandbox);
	}

	/** Idle: the newest is used first, and what isn't used is frozen, then evicted. */
	#park(sandbox: Sandbox): void {
		const { key } = sandbox.specialisation as Specialisation;
		sandbox.idleSinceMs = performance.now();
		listOf(this.#warm, key).push(sandbox);
		void sandbox.settled.then(() => this.#freezeSoon(sandbox));
		this.#serveOthers();
	}

	#freezeSoon(sandbox: Sandbox): void {
		if (sandbox.state !== "warm") return;
		const known = this.#timers.get(sandbox.id);
		if (known !== undefined) {
			known.refresh();
			return;
		}
		const timer = setTimeout(() => void this.#freeze(sandbox), FREEZE_AFTER_MS);
		this.#timers.set(sandbox.id, timer);
	}

	async #freeze(sandbox: Sandbox): Promise<void> {
		const idleMs = performance.now() - sandbox.idleSinceMs;
		if (sandbox.state !== "warm") return;
		if (idleMs < FREEZE_AFTER_MS - 1) {
			this.#timers.get(sandbox.id)?.refresh();
			return;
		}
		sandbox.move("frozen");
		this.#admission.reserveIdle(sandbox.id, sandbox.memoryBytes());
		try {
			await sandbox.freeze();
		} catch (error) {
			this.#options.onTrouble(`${sandbox.id} couldn't be frozen`, error as Error);
			this.#retire(sandbox);
		}
	}

	#takeWarm(target: Specialisation): Sandbox | undefined {
		const list = this.#warm.get(target.key);
		while (list !== undefined && list.length > 0) {
			const sandbox = list.pop() as Sandbox;
			if (sandbox.state === "warm" || sandbox.state === "frozen") return this.#roomToRun(sandbox) ? sandbox : undefined;
		}
		return undefined;
	}

	/** A frozen one counts with what it has; to run it needs its whole limit. */
	#roomToRun(sandbox: Sandbox): boolean {
		if (this.#admission.fits(sandbox.id, sandbox.limits.memoryBytes) || this.#makeRoom(sandbox.limits.memoryBytes)) return true;
		listOf(this.#warm, (sandbox.specialisation as Specialisation).key).push(sandbox);
		return false;
	}

	/** Evicts the longest idle until `bytes` fit. @returns whether they do */
	#makeRoom(bytes: number): boolean {
		while (!this.#admission.fits("", bytes)) {
			const victim = this.#longestIdle();
			if (victim === undefined) return false;
			this.#retire(victim);
		}
		return true;
	}

	#longestIdle(): Sandbox | undefined {
		let oldest: Sandbox | undefined;
		for (const list of this.#warm.values()) {
			for (const sandbox of list) {
				if (oldest === undefined || sandbox.idleSinceMs < oldest.idleSinceMs) oldest = sandbox;
			}
		}
		return oldest;
	}

	#evictIdle(): void {
		const before = performance.now() - this.#options.idleTtlMs;
		for (const list of this.#warm.values()) {
			for (const sandbox of list.filter(({ idleSinceMs }) => idleSinceMs < before)) this.#retire(sandbox);
		}
		this.#forgetQuietVersions();
	}

	#forgetQuietVersions(): void {
		for (const [key, demand] of this.#demand) {
			if (demand.idle && (this.#warm.get(key)?.length ?? 0) === 0) {
				this.#demand.delete(key);
				this.#warm.delete(key);
			}
		}
	}

	/** Room or a slot came free: whoever waits for one, of whatever version, gets a try. */
	#serveOthers(): void {
		for (const demand of this.#demand.values()) {
			const waiter = demand.waiters.find(({ done }) => !done);
			if (waiter !== undefined) this.#dispatch(waiter.target, demand);
		}
	}

	#retire(sandbox: Sandbox): void {
		if (sandbox.state === "retiring") return;
		sandbox.move("retiring");
		this.#forget(sandbox);
		const removal = sandbox
			.remove()
			.catch((error: Error) => this.#options.onTrouble(`${sandbox.id} couldn't be removed`, error))
			.finally(() => {
				this.#removals.delete(removal);
				this.#sandboxes.delete(sandbox.id);
				this.#admission.release(sandbox.id);
				this.#serveOthers();
				this.#refill();
			});
		this.#removals.add(removal);
	}

	#forget(sandbox: Sandbox): void {
		clearTimeout(this.#timers.get(sandbox.id));
		this.#timers.delete(sandbox.id);
		removeFrom(this.#prewarmed.get(keyText(sandbox.bootKey)), sandbox);
		if (sandbox.specialisation !== undefined) removeFrom(this.#warm.get(sandbox.specialisation.key), sandbox);
	}

	/** A booted sandbox with its agent connected. It is removed if it can't be had. */
	async #boot(key: BootKey, limits: SandboxLimits): Promise<Sandbox> {
		const sandbox = new Sandbox(this.#options.engine, key, limits);
		this.#sandboxes.set(sandbox.id, sandbox);
		this.#admission.reserve(sandbox.id, limits.memoryBytes);
		void sandbox.ending.then(() => this.#lost(sandbox));
		try {
			await sandbox.boot(`${this.#options.agentSockets}/${sandbox.id}.sock`, FIXED_LIMITS.startMs);
			return sandbox;
		} catch (error) {
			this.#retire(sandbox);
			throw error;
		}
	}

	/** One that died while idle is replaced; one that is busy is its holder's affair. */
	#lost(sandbox: Sandbox): void {
		if (sandbox.state === "prewarmed" || sandbox.state === "warm" || sandbox.state === "frozen") this.#retire(sandbox);
	}

	#addFloor(key: BootKey, floor: number): void {
		this.#floors.set(keyText(key), { key, floor, booting: 0 });
	}

	#refill(): void {
		if (this.#closed) return;
		let booting = [...this.#floors.values()].reduce((sum, entry) => sum + entry.booting, 0);
		for (const entry of this.#floors.values()) {
			const have = () => (this.#prewarmed.get(keyText(entry.key))?.length ?? 0) + entry.booting;
			while (have() < entry.floor && booting < MAX_FLOOR_BOOTS) {
				booting++;
				entry.booting++;
				void this.#bootForFloor(entry.key).finally(() => {
					entry.booting--;
					this.#refill();
					this.#tellFloorWaiters();
				});
			}
		}
		this.#tellFloorWaiters();
	}

	async #bootForFloor(key: BootKey): Promise<void> {
		try {
			const sandbox = await this.#boot(key, key.kind === "build" ? buildLimits() : standardLimits(key));
			await sandbox.preload(FIXED_LIMITS.startMs);
			if (sandbox.state !== "booting") return;
			sandbox.move("prewarmed");
			sandbox.idleSinceMs = performance.now();
			this.#admission.reserveIdle(sandbox.id);
			listOf(this.#prewarmed, keyText(key)).push(sandbox);
		} catch (error) {
			if (this.#closed) return;
			this.#options.onTrouble("a sandbox couldn't be prewarmed", error as Error);
			// Not again at once: whatever it is, it would happen again.
			await new Promise((resolve) => setTimeout(resolve, 1000).unref());
		}
	}

	#floorStands(): boolean {
		if (this.#closed) return true;
		return [...this.#floors.values()].every(
			(entry) => entry.booting === 0 && (this.#prewarmed.get(keyText(entry.key))?.length ?? 0) >= entry.floor,
		);
	}

	#tellFloorWaiters(): void {
		const waiters = this.#floorWaiters;
		this.#floorWaiters = [];
		for (const resolve of waiters) resolve();
	}

	#prewarmedCount(): number {
		return [...this.#prewarmed.values()].reduce((sum, list) => sum + list.length, 0);
	}

	#hasPrewarmed(key: BootKey): boolean {
		return (this.#prewarmed.get(keyText(key))?.length ?? 0) > 0;
	}

	#takePrewarmed(key: BootKey): Sandbox | undefined {
		return this.#prewarmed.get(keyText(key))?.shift();
	}

	#keyOf(manifest: Manifest): BootKey {
		return { kind: "function", base: this.#options.bases[manifest.runtime], memoryClass: memoryClassOf(manifest.memoryMiB) };
	}

	#buildKey(): BootKey {
		return { kind: "build", base: this.#options.bases.build, memoryClass: BUILD_MEMORY_MIB };
	}

	#limitsOf(manifest: Manifest): SandboxLimits {
		return {
			memoryBytes: manifest.memoryMiB * MIB,
			cpuMilli: manifest.cpuMilli,
			pids: FIXED_LIMITS.pids,
			tmpfsBytes: manifest.tmpfsMiB * MIB,
			tmpfsInodes: FIXED_LIMITS.tmpfsInodes,
		};
	}

	#demandOf(key: string): VersionDemand {
		let demand = this.#demand.get(key);
		if (demand === undefined) {
			demand = new VersionDemand();
			this.#demand.set(key, demand);
		}
		return demand;
	}
}

function standardLimits(key: BootKey): SandboxLimits {
	return {
		memoryBytes: key.memoryClass * MIB,
		cpuMilli: LIMITS.cpuMilli.default,
		pids: FIXED_LIMITS.pids,
		tmpfsBytes: LIMITS.tmpfsMiB.default * MIB,
		tmpfsInodes: FIXED_LIMITS.tmpfsInodes,
	};
}

function buildLimits(): SandboxLimits {
	return {
		memoryBytes: BUILD_MEMORY_MIB * MIB,
		cpuMilli: 2000,
		pids: BUILD_PIDS,
		tmpfsBytes: BUILD_TMPFS_MIB * MIB,
		tmpfsInodes: BUILD_INODES,
	};
}

function keyText({ kind, base, memoryClass }: BootKey): string {
	return `${kind} ${base.digest} ${memoryClass}`;
}

function listOf(map: Map<string, Sandbox[]>, key: string): Sandbox[] {
	let list = map.get(key);
	if (list === undefined) {
		list = [];
		map.set(key, list);
	}
	return list;
}

function removeFrom(list: Sandbox[] | undefined, sandbox: Sandbox): void {
	const at = list?.indexOf(sandbox) ?? -1;
	if (at >= 0) list?.splice(at, 1);
}
