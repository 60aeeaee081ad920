/** So many boots at a time for each core: more only make all of them slower. */
const BOOTS_PER_CORE = 2;

/** Boots that somebody waits for: so many at a time, and projects in turns, so that nobody's first one is behind all of another's. */
export class BootTurns {
	#free: number;
	/** In the order of their turns; the map's own order is it. */
	readonly #waiting = new Map<string, (() => void)[]>();

	constructor(cores: number) {
		this.#free = BOOTS_PER_CORE * cores;
	}

	/** Resolves when it is the project's turn, which lasts until it is disposed of. */
	async enter(project: string): Promise<Disposable> {
		if (this.#free > 0) this.#free--;
		else await new Promise<void>((resolve) => this.#lineOf(project).push(resolve));
		return { [Symbol.dispose]: () => this.#leave() };
	}

	#lineOf(project: string): (() => void)[] {
		const line = this.#waiting.get(project) ?? [];
		this.#waiting.set(project, line);
		return line;
	}

	#leave(): void {
		const [next] = this.#waiting;
		if (next === undefined) {
			this.#free++;
			return;
		}
		const [project, [first, ...others]] = next;
		this.#waiting.delete(project);
		if (others.length > 0) this.#waiting.set(project, others);
		first?.();
	}
}
