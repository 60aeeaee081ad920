import type { Demand } from "./demand.js";

/**
 * Whose turn it is where there isn't enough for all: the project's, then the version's, that was given a sandbox longest ago. So whoever
 * waits is passed over by each other project once, however many wait there and since when.
 */
export class Turns {
	/** Each project's last turn, and when that was, by the monotonic clock. */
	readonly #projects = new Map<string, { readonly turn: number; readonly atMs: number }>();
	#count = 0;

	/** How many projects were given any, but for those that were forgotten. */
	get projects(): number {
		return this.#projects.size;
	}

	/** A version was given a sandbox. */
	had(demand: Demand): void {
		demand.hadTurn = ++this.#count;
		this.#projects.set(demand.target.project, { turn: this.#count, atMs: performance.now() });
	}

	/** Forgets projects that were given none since then, by the monotonic clock: they are as new. */
	forgetBefore(sinceMs: number): void {
		for (const [project, { atMs }] of this.#projects) if (atMs < sinceMs) this.#projects.delete(project);
	}

	/** Below 0 when it is the first one's turn, above 0 when it is the other's. Among equals who has waited longer is first. */
	compare(one: Demand, sinceMs: number, other: Demand, otherSinceMs: number): number {
		return this.#ofProject(one) - this.#ofProject(other) || one.hadTurn - other.hadTurn || sinceMs - otherSinceMs;
	}

	#ofProject({ target: { project } }: Demand): number {
		return this.#projects.get(project)?.turn ?? 0;
	}
}
