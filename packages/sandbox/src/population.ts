import { FIXED_LIMITS, MIB, type SandboxLimits, type VersionImage } from "@berth/contracts";
import { Admission } from "./admission.js";
import { type BootKey, prewarmLimitsOf } from "./boot-key.js";
import { BootTurns } from "./boot-turns.js";
import { CpuShares } from "./cpu-shares.js";
import { type LayerSource, type PlacedLayer, placed, type SandboxEngine } from "./engine.js";
import { Sandbox } from "./sandbox.js";

/** What one that is being prewarmed is counted with: nothing but Node and the agent runs in it. */
export const PREWARM_BYTES = 48 * MIB;

/** Tries of a removal that are waited for: what the kernel holds on to for a moment goes at the next one. */
const REMOVE_TURNS = 3;
/** How long after a try that failed the next one comes, twice as long each time, milliseconds. */
const REMOVE_AGAIN_MS = { first: 500, most: 60_000 } as const;

export interface PopulationOptions {
	readonly engine: SandboxEngine;
	readonly layers: LayerSource;
	/** Directory of the agents' sockets. */
	readonly agentSockets: string;
	readonly memoryBudgetBytes: number;
	readonly cores: number;
	/** One is about to be removed: whoever lists it lets go of it. */
	readonly onRetire: (sandbox: Sandbox) => void;
	/** One is gone, and its memory with it. */
	readonly onRemoved: () => void;
	readonly onTrouble: (message: string, error: Error) => void;
}

/** Every sandbox of a node from its boot to its removal, and the memory that they hold. */
export class Population {
	readonly admission: Admission;
	readonly shares = new CpuShares();
	readonly #options: PopulationOptions;
	readonly #turns: BootTurns;
	readonly #sandboxes = new Map<string, Sandbox>();
	readonly #removals = new Set<Promise<void>>();
	/** Next tries of removals that nobody waits for any more. */
	readonly #retries = new Set<NodeJS.Timeout>();
	#closed = false;

	constructor(options: PopulationOptions) {
		this.#options = options;
		this.admission = new Admission(options.memoryBudgetBytes);
		this.#turns = new BootTurns(options.cores);
		options.engine.onExit((exit) => this.#sandboxes.get(exit.sandbox)?.exited(exit));
	}

	get(id: string): Sandbox | undefined {
		return this.#sandboxes.get(id);
	}

	all(): readonly Sandbox[] {
		return [...this.#sandboxes.values()];
	}

	/** Makes sure that layers are unpacked on this node. */
	ensureLayers(layers: readonly PlacedLayer[], of?: VersionImage): Promise<void> {
		const { engine, layers: source } = this.#options;
		return engine.ensureLayers(layers, source, of);
	}

	/**
	 * A booted sandbox with its agent connected. What can't be had is removed again.
	 * @param countedBytes what it is counted with: its whole limit as soon as somebody's code may run in it
	 * @param project whose turn it takes; default: nobody's, at once
	 */
	async boot(key: BootKey, limits: SandboxLimits, countedBytes = limits.memoryBytes, project?: string): Promise<Sandbox> {
		const sandbox = new Sandbox(this.#options.engine, this.shares, key, limits);
		this.#sandboxes.set(sandbox.id, sandbox);
		// Counted before anything is awaited: whoever asks for room meanwhile has to see it.
		this.admission.reserve(sandbox.id, countedBytes);
		void sandbox.gone.then(() => this.#lost(sandbox));
		return await this.#orRetire(sandbox, this.#bootOn(sandbox, project));
	}

	/** One that waits for its version: it can't grow meanwhile, and counts with what it has. */
	async prewarm(key: BootKey): Promise<Sandbox> {
		const sandbox = await this.boot(key, prewarmLimitsOf(key), PREWARM_BYTES);
		sandbox.move("prewarmed");
		sandbox.idleSinceMs = performance.now();
		this.admission.reserve(sandbox.id, sandbox.memoryBytes());
		return sandbox;
	}

	/** Lets a prewarmed one touch what a first invocation would otherwise pay for. */
	async preload(sandbox: Sandbox): Promise<void> {
		await this.#orRetire(sandbox, sandbox.preload(FIXED_LIMITS.startMs));
		this.admission.reserve(sandbox.id, sandbox.memoryBytes());
	}

	/** Removes a sandbox, whatever it does. Idempotent. */
	retire(sandbox: Sandbox): void {
		if (sandbox.state === "retiring") return;
		sandbox.move("retiring");
		this.#options.onRetire(sandbox);
		this.admission.leave(sandbox.id);
		const { promise, resolve } = Promise.withResolvers<void>();
		const removal = promise.finally(() => this.#removals.delete(removal));
		this.#removals.add(removal);
		void this.#remove(sandbox, resolve);
	}

	/** Resolves when the removals that are under way now are over, or have failed so often that it may take long. */
	async removalsDone(): Promise<void> {
		await Promise.all(this.#removals);
	}

	/** Removes every sandbox. What can't be removed by then is left to the launcher. */
	async close(): Promise<void> {
		this.#closed = true;
		for (const retry of this.#retries) clearTimeout(retry);
		for (const sandbox of this.all()) this.retire(sandbox);
		await this.removalsDone();
	}

	/** One that can't be removed may still run: it is listed and counts, and is tried again until it is gone. @param settle whoever waits has waited enough */
	async #remove(sandbox: Sandbox, settle: () => void, turn = 1): Promise<void> {
		try {
			await sandbox.remove();
		} catch (error) {
			this.#removeAgain(sandbox, settle, turn, error as Error);
			return;
		}
		this.#sandboxes.delete(sandbox.id);
		this.admission.release(sandbox.id);
		settle();
		this.#options.onRemoved();
	}

	#removeAgain(sandbox: Sandbox, settle: () => void, turn: number, error: Error): void {
		this.#options.onTrouble(`${sandbox.id} couldn't be removed (try ${turn})`, error);
		const isWaitedFor = turn < REMOVE_TURNS;
		if (!isWaitedFor) {
			// Its memory isn't about to come free: others have to go for whoever needs some.
			this.admission.stay(sandbox.id);
			settle();
			if (this.#closed) return;
		}
		const retry = setTimeout(
			() => {
				this.#retries.delete(retry);
				void this.#remove(sandbox, settle, turn + 1);
			},
			Math.min(REMOVE_AGAIN_MS.first * 2 ** (turn - 1), REMOVE_AGAIN_MS.most),
		);
		if (!isWaitedFor) this.#retries.add(retry);
	}

	async #bootOn(sandbox: Sandbox, project: string | undefined): Promise<void> {
		const { base, own = [], ownIsRoot, of } = sandbox.bootKey;
		await this.ensureLayers(placed(base.layers, own, ownIsRoot), of);
		using _turn = project === undefined ? undefined : await this.#turns.enter(project);
		if (sandbox.state !== "booting") throw new Error(`${sandbox.id} was removed before it could be booted`);
		await sandbox.boot(`${this.#options.agentSockets}/${sandbox.id}.sock`, FIXED_LIMITS.startMs);
	}

	async #orRetire(sandbox: Sandbox, step: Promise<void>): Promise<Sandbox> {
		try {
			await step;
			return sandbox;
		} catch (error) {
			this.retire(sandbox);
			throw error;
		}
	}

	/** One that died while idle is replaced; one that is busy is its holder's affair. */
	#lost(sandbox: Sandbox): void {
		if (sandbox.isAtRest) this.retire(sandbox);
	}
}
