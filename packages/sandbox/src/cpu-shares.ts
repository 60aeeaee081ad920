import { availableParallelism } from "node:os";

/** What one that uses little weighs, in busy processes: it wants a twentieth of a core at most, and is to have that at once. */
const LIGHT = 4;
/** What one that uses much weighs at most. */
const HEAVY = 1 / 2;
/** So many such at a time, and what they weigh together is shared by more: the platform has to come between them. */
const MOST_LIGHT = 2;

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

	/** @param project of one that uses much; undefined of one that uses little */
	add(project: string | undefined): void {
		if (project === undefined) this.#light++;
		else this.#heavy.set(project, (this.#heavy.get(project) ?? 0) + 1);
	}

	remove(project: string | undefined): void {
		if (project === undefined) {
			this.#light--;
			return;
		}
		const left = (this.#heavy.get(project) ?? 0) - 1;
		if (left > 0) this.#heavy.set(project, left);
		else this.#heavy.delete(project);
	}
}
