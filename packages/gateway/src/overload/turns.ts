/** So many requests begin in one round of the event loop, whosesoever they are: what else waits for the loop waits no longer than for these. */
const AT_ONCE = 4;

/**
 * Requests that have come, in turns of their projects: of a crowd that comes at the same moment a few begin at a time, and what comes meanwhile of
 * another project is next. Whoever is alone loses nothing but the order of what the event loop does.
 */
export class Turns {
	readonly #waiting = new Map<string, (() => void)[]>();
	#begun = 0;
	#isScheduled = false;

	/** Resolves when it is the turn of one more request of a project; undefined: it is now. */
	take(project: string): Promise<void> | undefined {
		this.#schedule();
		if (this.#begun < AT_ONCE && this.#waiting.size === 0) {
			this.#begun++;
			return undefined;
		}
		return new Promise((resolve) => {
			const others = this.#waiting.get(project);
			if (others === undefined) this.#waiting.set(project, [resolve]);
			else others.push(resolve);
		});
	}

	#schedule(): void {
		if (this.#isScheduled) return;
		this.#isScheduled = true;
		setImmediate(() => this.#next());
	}

	#next(): void {
		this.#isScheduled = false;
		this.#begun = 0;
		while (this.#begun < AT_ONCE && this.#waiting.size > 0) this.#beginOne();
		if (this.#waiting.size > 0) this.#schedule();
	}

	/** Of the project that waits for the longest, which then is the last. */
	#beginOne(): void {
		const [first] = this.#waiting;
		if (first === undefined) return;
		const [project, waiting] = first;
		this.#begun++;
		this.#waiting.delete(project);
		const [begin, ...rest] = waiting;
		begin?.();
		if (rest.length > 0) this.#waiting.set(project, rest);
	}
}
