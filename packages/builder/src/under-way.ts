/** Work that is done once for all who want it while it is under way. */
export class UnderWay<T> {
	readonly #work = new Map<string, Promise<T>>();

	has(key: string): boolean {
		return this.#work.has(key);
	}

	/** @returns what came of it, and whether somebody else had begun it */
	async join(key: string, begin: () => Promise<T>): Promise<{ readonly value: T; readonly joined: boolean }> {
		const other = this.#work.get(key);
		if (other !== undefined) return { value: await other, joined: true };
		const work = begin().finally(() => this.#work.delete(key));
		this.#work.set(key, work);
		return { value: await work, joined: false };
	}
}
