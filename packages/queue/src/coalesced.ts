/**
 * Does something for a key, one at a time: all that ask for it while it is under way share the next time, which begins after they asked. It has to be
 * something that is as good for all of them.
 */
export class Coalesced {
	readonly #work: (key: string) => Promise<unknown>;
	readonly #underWay = new Map<string, Promise<unknown>>();
	readonly #next = new Map<string, Promise<unknown>>();

	constructor(work: (key: string) => Promise<unknown>) {
		this.#work = work;
	}

	/** Settles as the time does that is shared. */
	run(key: string): Promise<unknown> {
		const underWay = this.#underWay.get(key);
		if (underWay === undefined) return this.#begin(key);
		const next = this.#next.get(key) ?? this.#after(underWay, key);
		this.#next.set(key, next);
		return next;
	}

	async #after(underWay: Promise<unknown>, key: string): Promise<unknown> {
		// Whoever asked for that one hears of it.
		await Promise.allSettled([underWay]);
		this.#next.delete(key);
		return await this.#begin(key);
	}

	#begin(key: string): Promise<unknown> {
		const work = this.#work(key).finally(() => {
			if (this.#underWay.get(key) === work) this.#underWay.delete(key);
		});
		this.#underWay.set(key, work);
		return work;
	}
}
