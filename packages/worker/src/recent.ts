/** Values by key, so many: one more, and the one that nobody asked for the longest is forgotten. */
export class Recent<Value> {
	readonly #most: number;
	readonly #kept = new Map<string, Value>();

	constructor(most: number) {
		this.#most = most;
	}

	get(key: string): Value | undefined {
		const value = this.#kept.get(key);
		if (value !== undefined) this.set(key, value);
		return value;
	}

	set(key: string, value: Value): void {
		this.#kept.delete(key);
		this.#kept.set(key, value);
		if (this.#kept.size <= this.#most) return;
		const [oldest] = this.#kept.keys();
		this.#kept.delete(oldest as string);
	}

	/** Where it is the one that is kept. */
	forget(key: string, value: Value): void {
		if (this.#kept.get(key) === value) this.#kept.delete(key);
	}

	/** Without having asked for any. */
	values(): Iterable<Value> {
		return this.#kept.values();
	}

	clear(): void {
		this.#kept.clear();
	}
}
