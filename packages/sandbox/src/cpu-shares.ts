import { availableParallelism } from "node:os";
import { SparedCpu } from "./spared-cpu.js";

/** What one that uses little weighs, in busy processes: it wants a twentieth of a core at most, and is to have that at once. */
const LIGHT = 4;
/** What one that uses much weighs at most. */
const HEAVY = 1 / 2;
/** So many such at a time, and what they weigh together is shared by more: the platform has to come between them. */
const MOST_LIGHT = 2;

/** A project that used much in the last second competes with those that worked, and used little, in the last minute; milliseconds. */
const LATELY_MS = { heavy: 1000, light: 60_000 } as const;

/** What a sandbox uses of the CPU: little, or much. */
export type Use = keyof typeof LATELY_MS;

/**
 * Who works on this node at this moment, and what each is to weigh, in busy processes of the default weight. Those that use little weigh as
 * much as needs be. One that uses much weighs half a process at most; projects that do are equal, with however many sandboxes, and weigh no more
 * together than that per core.
 */
export class CpuShares {
	readonly #cores: number;
	#light = 0;
	/** By project: how many of its sandboxes use much. */
	readonly #heavy = new Map<string, number>();
	/** By project: when one of its sandboxes was last seen to use so much, milliseconds. */
	readonly #seenAtMs: Readonly<Record<Use, Map<string, number>>> = { heavy: new Map(), light: new Map() };
	readonly spared = new SparedCpu();

	constructor(cores = availableParallelism()) {
		this.#cores = cores;
	}

	get light(): number {
		return (LIGHT * MOST_LIGHT) / Math.max(MOST_LIGHT, this.#light);
	}

	heavy(project: string): number {
		const atMost = this.#cores / Math.max(1, this.#heavy.size) / Math.max(1, this.#heavy.get(project) ?? 1);
		return HEAVY * Math.min(1, atMost);
	}

	/** Whether a project uses much of the CPU while another one has lately worked, and used little. */
	get contended(): boolean {
		for (const project of this.#heavy.keys()) this.#see(project, "heavy");
		const heavy = this.#seen("heavy");
		return heavy.size > 0 && [...this.#seen("light")].some((project) => !heavy.has(project));
	}

	add(project: string, as: Use): void {
		this.#see(project, as);
		if (as === "light") this.#light++;
		else this.#heavy.set(project, (this.#heavy.get(project) ?? 0) + 1);
	}

	remove(project: string, as: Use): void {
		if (as === "light") {
			this.#light--;
			return;
		}
		const left = (this.#heavy.get(project) ?? 0) - 1;
		if (left > 0) this.#heavy.set(project, left);
		else this.#heavy.delete(project);
	}

	#see(project: string, as: Use): void {
		this.#seenAtMs[as].set(project, performance.now());
	}

	/** Forgets who wasn't seen lately. */
	#seen(as: Use): ReadonlySet<string> {
		const sinceMs = performance.now() - LATELY_MS[as];
		const all = this.#seenAtMs[as];
		for (const [project, atMs] of all) if (atMs < sinceMs) all.delete(project);
		return new Set(all.keys());
	}
}
