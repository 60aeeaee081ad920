import type { Base, Runtime } from "@berth/contracts";
import { CpuLoad } from "./cpu-load.js";
import { type CrashLoopChanged, CrashLoops } from "./crash-loops.js";
import { Dispatch } from "./dispatch.js";
import type { LayerSource, SandboxEngine } from "./engine.js";
import { Floors } from "./floors.js";
import { IdleSandboxes } from "./idle-sandboxes.js";
import { Rhythms } from "./keep-alive/rhythms.js";
import { Warmth } from "./keep-alive/warmth.js";
import { Population, PREWARM_BYTES } from "./population.js";
import { Room } from "./room.js";
import type { Sandbox } from "./sandbox.js";
import type { Specialisation, VersionNames } from "./version-target.js";

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
	/** How long a sandbox that has run is kept where its function's own idle times say nothing, and at most. */
	readonly idleTtlMs: number;
	readonly cores: number;
	/** Crashes of a version in a row, after which the next sandbox is started later; 0: never. */
	readonly crashesAllowed: number;
	readonly crashLoopChanged?: CrashLoopChanged;
	/** A version with what it is given now, for starts ahead of need; undefined when there is none that this node can run. */
	readonly targetOf: (names: VersionNames) => Promise<Specialisation | undefined>;
	/** Told of sandboxes that couldn't be made, frozen or removed: nobody waits for those. */
	readonly onTrouble: (message: string, error: Error) => void;
}

/** The parts of a pool, and what each tells the others: who is gone frees room, who came free serves those that wait, and what fails is retired. */
export class PoolParts {
	/** All sandboxes, and the memory that they hold. */
	readonly population: Population;
	/** Those with nothing in them yet. */
	readonly floors: Floors;
	/** Those that have run and rest. */
	readonly idle: IdleSandboxes;
	readonly room: Room;
	readonly cpu = new CpuLoad();
	readonly crashLoops: CrashLoops;
	/** Who gets which. */
	readonly dispatch: Dispatch;
	/** Which rest for how long. */
	readonly warmth: Warmth;

	constructor(options: PoolOptions) {
		const giveUp = (sandbox: Sandbox, what: string, error: Error) => {
			options.onTrouble(`${sandbox.id} couldn't be ${what}`, error);
			this.population.retire(sandbox);
		};
		this.crashLoops = new CrashLoops(options.crashesAllowed, options.crashLoopChanged);
		this.population = new Population({
			...options,
			onRetire: (sandbox) => {
				this.floors.remove(sandbox);
				this.idle.remove(sandbox);
			},
			onRemoved: () => {
				this.dispatch.serveOthers();
				this.floors.refill();
			},
		});
		this.idle = new IdleSandboxes({
			onFrozen: (sandbox) => {
				this.population.admission.reserve(sandbox.id, sandbox.memoryBytes());
				this.dispatch.serveOthers();
			},
			onStrays: (sandbox) => this.population.retire(sandbox),
			onTrouble: (sandbox, error) => giveUp(sandbox, "frozen", error),
		});
		this.floors = new Floors({
			boot: (key) => this.population.prewarm(key).finally(() => this.dispatch.serveOthers()),
			preload: (sandbox) => this.population.preload(sandbox),
			retire: (sandbox) => this.population.retire(sandbox),
			// Whoever waits for a sandbox of their own, or for memory, goes first.
			isCalm: () => this.dispatch.isCalm,
			isShared: () => this.dispatch.isShared,
			hasRoom: () => this.population.admission.fits(PREWARM_BYTES),
			onTrouble: (error) => options.onTrouble("a sandbox couldn't be prewarmed", error),
		});
		this.room = new Room(this.population, this.idle, this.floors, (sandbox) => this.warmth.isPromised(sandbox));
		const rhythms = new Rhythms(options.idleTtlMs);
		this.dispatch = new Dispatch({
			population: this.population,
			floors: this.floors,
			idle: this.idle,
			room: this.room,
			cpu: this.cpu,
			crashLoops: this.crashLoops,
			rhythms,
			cores: options.cores,
			idleTtlMs: options.idleTtlMs,
			grafts: options.engine.grafts,
			onTrouble: (sandbox, error) => giveUp(sandbox, "thawed", error),
		});
		this.warmth = new Warmth({
			idle: this.idle,
			ahead: this.dispatch.ahead,
			rhythms,
			targetOf: options.targetOf,
			retire: (sandbox) => this.population.retire(sandbox),
			onTrouble: options.onTrouble,
		});
	}
}
