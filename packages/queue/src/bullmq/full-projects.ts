/** How long a project rests that has all in flight that it may, unless it is told before that one of its runs ended: that may get lost, and who died gives nothing back, milliseconds. */
const FULL_MS = 2500;

export interface FullProjectsParts {
	/** Nothing of a project is to be begun. */
	readonly rest: (project: string) => void;
	/** It may have another one now. */
	readonly resume: (project: string) => void;
}

/** Projects that have all in flight that they may: none of their functions asks again before one of them may get something. */
export class FullProjects {
	readonly #parts: FullProjectsParts;
	readonly #resting = new Map<string, NodeJS.Timeout>();
	readonly #asking = new Map<string, Promise<unknown>>();
	/** Of those that ask: one of their runs has ended meanwhile. */
	readonly #freed = new Set<string>();

	constructor(parts: FullProjectsParts) {
		this.#parts = parts;
	}

	/** Those of a project ask one after another: when one is refused, those behind it needn't ask. @returns as `take`; undefined when it is full */
	async ask<Leave>(project: string, take: () => Promise<Leave | undefined>): Promise<Leave | undefined> {
		const asking = this.#after(this.#asking.get(project), project, take);
		this.#asking.set(project, asking);
		try {
			return await asking;
		} finally {
			if (this.#asking.get(project) === asking) {
				this.#asking.delete(project);
				this.#freed.delete(project);
			}
		}
	}

	/** Whether nothing of it is begun for now. */
	isFull(project: string): boolean {
		return this.#resting.has(project);
	}

	/** One of its runs has ended, here or elsewhere. */
	freed(project: string): void {
		if (this.#asking.has(project)) this.#freed.add(project);
		const timer = this.#resting.get(project);
		if (timer === undefined) return;
		clearTimeout(timer);
		this.#resting.delete(project);
		this.#parts.resume(project);
	}

	stop(): void {
		for (const timer of this.#resting.values()) clearTimeout(timer);
	}

	async #after<Leave>(before: Promise<unknown> | undefined, project: string, take: () => Promise<Leave | undefined>) {
		// Whoever asked before has been told why that failed.
		await before?.catch(() => undefined);
		if (this.#resting.has(project)) return undefined;
		let taken: Leave | undefined;
		// What is heard before the answer may be newer than that.
		do {
			this.#freed.delete(project);
			taken = await take();
		} while (taken === undefined && this.#freed.has(project));
		if (taken === undefined) {
			this.#resting.set(
				project,
				setTimeout(() => this.freed(project), FULL_MS),
			);
			this.#parts.rest(project);
		}
		return taken;
	}
}
