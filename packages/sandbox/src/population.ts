import { setTimeout as pause } from "node:timers/promises";
import { type Base, FIXED_LIMITS, MIB, type SandboxLimits } from "@berth/contracts";
import { Admission } from "./admission.js";
import { type BootKey, prewarmLimitsOf } from "./boot-key.js";
import type { LayerSource, SandboxEngine } from "./engine.js";
import { Sandbox } from "./sandbox.js";

/** What one that is being prewarmed is counted with: nothing but Node and the agent runs in it. */
export const PREWARM_BYTES = 48 * MIB;

/** How often a removal is tried, and how long after one that failed, milliseconds. */
const REMOVE_TURNS = 3;
const REMOVE_AGAIN_MS = 500;

export interface PopulationOptions {
	readonly engine: SandboxEngine;
	readonly layers: LayerSource;
	/** Directory of the agents' sockets. */
	readonly agentSockets: string;
	readonly memoryBudgetBytes: number;
	/** One is about to be removed: whoever lists it lets go of it. */
	readonly onRetire: (sandbox: Sandbox) => void;
	/** One is gone, and its memory with it. */
	readonly onRemoved: () => void;
	readonly onTrouble: (message: string, error: Error) => void;
}

/** Every sandbox of a node from its boot to its removal, and the memory that they hold. */
export class Population {
	readonly admission: Admission;
	readonly #options: PopulationOptions;
	readonly #sandboxes = new Map<string, Sandbox>();
	readonly #removals = new Set<Promise<void>>();

	constructor(options: PopulationOptions) {
		this.#options = options;
		this.admission = new Admission(options.memoryBudgetBytes);
		options.engine.onExit((exit) => this.#sandboxes.get(exit.sandbox)?.exited(exit));
	}

	get(id: string): Sandbox | undefined {
		return this.#sandboxes.get(id);
	}

	all(): readonly Sandbox[] {
		return [...this.#sandboxes.values()];
	}

	/** Makes sure that layers are unpacked on this node. */
	ensureLayers(layers: Base["layers"]): Promise<void> {
		const { engine, layers: source } = this.#options;
		return engine.ensureLayers(
			layers.map(({ digest }) => digest),
			source,
		);
	}

	/**
	 * A booted sandbox with its agent connected. What can't be had is removed again.
	 * @param countedBytes what it is counted with: its whole limit as soon as somebody's code may run in it
	 */
	async boot(key: BootKey, limits: SandboxLimits, countedBytes = limits.memoryBytes): Promise<Sandbox> {
		const sandbox = new Sandbox(this.#options.engine, key, limits);
		this.#sandboxes.set(sandbox.id, sandbox);
		// Counted before anything is awaited: whoever asks for room meanwhile has to see it.
		this.admission.reserve(sandbox.id, countedBytes);
		void sandbox.gone.then(() => this.#lost(sandbox));
		return await this.#orRetire(sandbox, this.#bootOn(sandbox));
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
		const removal = this.#remove(sandbox).finally(() => {
			this.#removals.delete(removal);
			this.#sandboxes.delete(sandbox.id);
			this.admission.release(sandbox.id);
			this.#options.onRemoved();
		});
		this.#removals.add(removal);
	}

	/** Resolves when the removals are over that are under way now. */
	async removalsDone(): Promise<void> {
		await Promise.all(this.#removals);
	}

	/** What the kernel holds on to for a moment goes at the next try. What never goes is left to the next launcher. */
	async #remove(sandbox: Sandbox): Promise<void> {
		for (let turn = 1; turn <= REMOVE_TURNS; turn++) {
			try {
				await sandbox.remove();
				return;
			} catch (error) {
				this.#options.onTrouble(`${sandbox.id} couldn't be removed (try ${turn} of ${REMOVE_TURNS})`, error as Error);
			}
			if (turn < REMOVE_TURNS) await pause(REMOVE_AGAIN_MS);
		}
	}

	async #bootOn(sandbox: Sandbox): Promise<void> {
		await this.ensureLayers(sandbox.bootKey.base.layers);
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
