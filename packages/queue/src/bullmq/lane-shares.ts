import { LIMITS } from "@berth/contracts";
import { type Account, DeficitRing, QUANTUM_MS } from "./deficit-ring.js";

/** How much of a function's estimate the run before last and those before it keep. */
export const MEMORY = 0.7;
/** What a run is taken to cost before one was measured. */
const FIRST_ESTIMATE_MS = QUANTUM_MS;
/** What a run is taken to hold of the node's memory until it is known. */
const FIRST_MEMORY_MIB = LIMITS.memoryMiB.default;
/** What a run counts for at least of those that compute, and the steps in which it does: sums of them are exact. */
const LEAST_LOAD = 1 / 64;
/** Functions without work that are remembered. */
const MOST_REMEMBERED = 4096;

/** What runs hold of a node: places, memory, and of the pace the share of their time that they compute. */
export interface Amounts {
	readonly slots: number;
	readonly memoryMiB: number;
	readonly load: number;
}
export const RESOURCES = ["slots", "memoryMiB", "load"] as const;
export const NOTHING: Amounts = { slots: 0, memoryMiB: 0, load: 0 };

/** A project's share of a node. */
export interface ProjectShare extends Account {
	readonly key: string;
	held: Amounts;
	/** Its functions that have work. */
	readonly functions: DeficitRing<FunctionShare>;
	/** Functions of it that are remembered. */
	remembered: number;
}

/** A function's, of its project's. */
export interface FunctionShare extends Account {
	readonly key: string;
	readonly project: ProjectShare;
	held: Amounts;
	/** Jobs that are believed to wait. */
	waiting: number;
	/** What its next run will hold. */
	memoryMiB: number;
	/** The share of their time that its runs compute, as they did lately; 1 until one was seen. */
	load: number;
	estimateMs: number;
}

/** What a function's next run will hold. */
export function wantOf({ memoryMiB, load }: FunctionShare): Amounts {
	return { slots: 1, memoryMiB, load: Math.max(1, Math.ceil(load / LEAST_LOAD)) * LEAST_LOAD };
}

export function plus(a: Amounts, b: Amounts): Amounts {
	return { slots: a.slots + b.slots, memoryMiB: a.memoryMiB + b.memoryMiB, load: a.load + b.load };
}

export function minus(a: Amounts, b: Amounts): Amounts {
	return { slots: a.slots - b.slots, memoryMiB: a.memoryMiB - b.memoryMiB, load: a.load - b.load };
}

/** The shares of all functions that have work, and of those that had some lately. */
export class Shares {
	readonly #now: () => number;
	readonly #functions = new Map<string, FunctionShare>();
	readonly #projects = new Map<string, ProjectShare>();

	constructor(now: () => number) {
		this.#now = now;
	}

	find(key: string): FunctionShare | undefined {
		return this.#functions.get(key);
	}

	/** @param key `project/name` */
	of(key: string): FunctionShare {
		return this.#functions.get(key) ?? this.#add(key);
	}

	project(key: string): ProjectShare | undefined {
		return this.#projects.get(key);
	}

	/** A function has no more work; those for which that is so the longest are forgotten. */
	rests(share: FunctionShare): void {
		this.#functions.delete(share.key);
		this.#functions.set(share.key, share);
		if (this.#functions.size > MOST_REMEMBERED) this.#forget();
	}

	#add(key: string): FunctionShare {
		const [name = ""] = key.split("/");
		const account = { held: NOTHING, creditMs: QUANTUM_MS, idleSinceMs: this.#now() };
		const project = this.#projects.get(name) ?? { ...account, key: name, functions: new DeficitRing(this.#now), remembered: 0 };
		const estimates = { memoryMiB: FIRST_MEMORY_MIB, load: 1, estimateMs: FIRST_ESTIMATE_MS };
		const share = { ...account, key, project, waiting: 0, ...estimates };
		project.remembered++;
		this.#projects.set(name, project);
		this.#functions.set(key, share);
		return share;
	}

	#forget(): void {
		for (const [key, { project, waiting, held }] of this.#functions) {
			if (this.#functions.size <= MOST_REMEMBERED) return;
			if (waiting > 0 || held.slots > 0) continue;
			this.#functions.delete(key);
			if (--project.remembered === 0) this.#projects.delete(project.key);
		}
	}
}
