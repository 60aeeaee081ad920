/** The invocations that others of a node wait for: by who waits, how many there are, and how many have come to the node. */
export class Awaited {
	readonly #byParent = new Map<string, { open: number; here: number }>();
	#missing = 0;

	/** How many haven't come, or not yet. */
	get missing(): number {
		return this.#missing;
	}

	/** One more is waited for. */
	asked(parent: string): void {
		const known = this.#byParent.get(parent);
		if (known === undefined) this.#byParent.set(parent, { open: 1, here: 0 });
		else known.open++;
		this.#missing++;
	}

	/** One has come. @param parent who waits for it, perhaps on another node */
	came(parent: string | undefined): void {
		const known = parent === undefined ? undefined : this.#byParent.get(parent);
		if (known === undefined || known.here === known.open) return;
		known.here++;
		this.#missing--;
	}

	/** One isn't waited for any longer. */
	over(parent: string): void {
		const known = this.#byParent.get(parent);
		if (known === undefined) return;
		if (known.here > 0) known.here--;
		else this.#missing--;
		if (--known.open === 0) this.#byParent.delete(parent);
	}
}
