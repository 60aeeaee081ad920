import { type CrashLoop, type FailingVersion, type Layer, LIMITS, RUNTIMES, type Runtime, type SandboxInfo } from "@berth/contracts";
import { type BuildBoot, bootKeyOf, buildKeyOf, prewarmLimitsOf, versionKeyOf } from "./boot-key.js";
import type { CpuLoad } from "./cpu-load.js";
import type { CrashLoops } from "./crash-loops.js";
import type { Dispatch } from "./dispatch.js";
import { egressOf } from "./egress.js";
import { placed } from "./engine.js";
import type { Floors } from "./floors.js";
import { type Holdings, holdingsOf } from "./holdings.js";
import type { IdleSandboxes } from "./idle-sandboxes.js";
import { joinedOf } from "./joined.js";
import type { Minimum, Warmth } from "./keep-alive/warmth.js";
import type { BuildLease, Lease } from "./lease.js";
import { leftToDeeper, type Nesting, ROOT } from "./nesting.js";
import { type PoolOptions, PoolParts } from "./pool-parts.js";
import type { Population } from "./population.js";
import { closing, nobodyWaits } from "./refusals.js";
import type { Room } from "./room.js";
import { infoOf } from "./sandbox-info.js";
import type { Specialisation, VersionNames } from "./version-target.js";

/** The other runtimes keep one: it is there, and costs little until it is used. */
const MAIN_RUNTIME: Runtime = "node24";

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
	readonly #cpu: CpuLoad;
	readonly #crashLoops: CrashLoops;
	readonly #dispatch: Dispatch;
	readonly #warmth: Warmth;
	/** Resolved when the first sandbox was asked for. */
	readonly #asked = Promise.withResolvers<void>();
	#tidier: NodeJS.Timeout | undefined;
	#closed = false;

	constructor(options: PoolOptions) {
		this.#options = options;
		({
			population: this.#population,
			floors: this.#floors,
			idle: this.#idle,
			room: this.#room,
			cpu: this.#cpu,
			crashLoops: this.#crashLoops,
			dispatch: this.#dispatch,
			warmth: this.#warmth,
		} = new PoolParts(options));
	}

	/** Unpacks the bases and boots the floors; resolves when the first sandbox is there, and leases can be had. */
	async start(): Promise<void> {
		const { bases, prewarmed, prewarmedBuilds, idleTtlMs } = this.#options;
		for (const name of [...RUNTIMES, "build"] as const) await this.#population.ensureLayers(bases[name].layers);
		this.#setFloors(prewarmed);
		this.#floors.set(buildKeyOf(bases.build), prewarmedBuilds);
		this.#tidier = setInterval(() => this.#tidy(), Math.min(1000, idleTtlMs));
		this.#tidier.unref();
		this.#cpu.start();
		await this.#floors.first();
	}

	/** Resolves when the floors stand; or as soon as a sandbox is asked for, as whoever asks may keep them from it for long. */
	async warmed(): Promise<void> {
		await Promise.race([this.#floors.reached(), this.#asked.promise]);
	}

	/**
	 * A sandbox of the version. @throws BerthError `start_timed_out` when none could be had in
	 * `FIXED_LIMITS.startMs`, `function_failing` when its sandboxes crash one after another, `cancelled` when one of the signals ends the wait, `worker_lost` when the pool closes, `node_full` and `deadlock` when
	 * it would wait for its own end;
	 * @throws SpecialiseError when the function's module fails to load
	 */
	async acquire(target: Specialisation, ends: readonly AbortSignal[] = [], nesting: Nesting = ROOT): Promise<Lease> {
		this.#refuseWhenClosed();
		this.#asked.resolve();
		if (ends.some(({ aborted }) => aborted)) throw nobodyWaits();
		return await this.#dispatch.acquire(target, ends, nesting);
	}

	/** A run waits for another invocation. @returns what is called when it waits no longer */
	waits(invocation: string): () => void {
		return this.#dispatch.waits(invocation);
	}

	/** A sandbox of the build class, for one build; it is thrown away after. */
	async acquireBuild(boot: BuildBoot = {}): Promise<BuildLease> {
		this.#refuseWhenClosed();
		this.#asked.resolve();
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

	/** Brings a version's layers here, which its first start would wait for. */
	async bring(version: Pick<Specialisation, "image" | "manifest">, of: VersionNames): Promise<void> {
		await this.#bring(version, of);
	}

	/** A version was made: brings its layers here, and keeps a sandbox ready that could become it. */
	async expect({ image, manifest }: Pick<Specialisation, "image" | "manifest">, of?: VersionNames): Promise<void> {
		const key = await this.#bring({ image, manifest }, of);
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

	/** How many sandboxes versions have at least, in place of what was said before: started soon, where nobody else needs the memory, and freed by nothing but that need. */
	keepAtLeast(minimums: readonly Minimum[]): void {
		this.#warmth.setMinimums(minimums);
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

	/** Who has an address among those that may reach some hosts. */
	egressAt = (address: string) => egressOf(this.#population.all(), address);

	list(): readonly SandboxInfo[] {
		const now = performance.now();
		return this.#population.all().map((sandbox) => infoOf(sandbox, this.#options.node, now, this.#warmth.keptFor(sandbox, now)));
	}

	get holdings(): Holdings {
		return holdingsOf(this.#population.all());
	}

	/** Whether a project uses much of the CPU while another one has lately worked, and used little. */
	get cpuContended(): boolean {
		return this.#population.shares.contended;
	}

	/** @param isSpared whether sandboxes, those there are and those to come, leave one CPU to the stack's own processes, where the engine can have that */
	spareCpu(isSpared: boolean): void {
		this.#population.shares.spared.spare(isSpared);
	}

	/** Versions that crash again and again, and wait for their next try. */
	failing(): readonly FailingVersion[] {
		return this.#crashLoops.list().map((failing) => ({ node: this.#options.node, ...failing }));
	}

	/** Of a version that crashes again and again, and of which nothing rests warm: how long nothing of it is worth beginning, and why. */
	crashLoop(key: string): CrashLoop | undefined {
		return this.#dispatch.crashLoop(key);
	}

	/** What is known elsewhere of a version that nothing was started of here. @param key as it is known by here */
	learnCrashLoop(of: VersionNames, key: string, crashLoop: CrashLoop): void {
		this.#crashLoops.learn(of, key, crashLoop);
	}

	/** How many sandboxes are to be there always, and aren't. */
	get missing(): number {
		return this.#warmth.missing;
	}

	/** What runs may hold together that nobody waits for: all memory but what is left to those that others wait for. */
	get runsBytes(): number {
		const { budgetBytes } = this.#population.admission;
		return budgetBytes - leftToDeeper(budgetBytes, ROOT.depth);
	}

	get stats() {
		const { reservedBytes, budgetBytes } = this.#population.admission;
		return { ...this.#dispatch.stats, memoryBytes: reservedBytes, memoryBudgetBytes: budgetBytes };
	}

	/** Removes every sandbox. Nobody waits any longer. */
	async close(): Promise<void> {
		this.#closed = true;
		clearInterval(this.#tidier);
		this.#cpu.stop();
		this.#floors.close();
		this.#warmth.close();
		this.#dispatch.close();
		await this.#population.close();
	}

	#tidy(): void {
		this.#warmth.tidy(performance.now());
		this.#floors.expire();
		this.#floors.refill();
		this.#dispatch.forgetQuiet();
	}

	async #bring({ image, manifest }: Pick<Specialisation, "image" | "manifest">, of: VersionNames | undefined) {
		const key = versionKeyOf(image, manifest, this.grafts, of);
		await this.#population.ensureLayers(placed(image.base.layers, image.layers, key.ownIsRoot), key.of);
		return key;
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

	/** Whether a sandbox can be given layers when it has booted. */
	get grafts(): boolean {
		return this.#options.engine.grafts;
	}
}
