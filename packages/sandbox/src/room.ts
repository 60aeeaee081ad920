import type { Floors } from "./floors.js";
import type { IdleSandboxes } from "./idle-sandboxes.js";
import type { Population } from "./population.js";
import type { Sandbox } from "./sandbox.js";

/** Memory for the next sandbox, at the cost of those that nobody uses now: idle ones, and the floors'. */
export class Room {
	readonly #population: Population;
	readonly #idle: IdleSandboxes;
	readonly #floors: Floors;
	readonly #isPromised: (sandbox: Sandbox) => boolean;

	/** @param isPromised whether an idle one is of those that its function has always: they go last */
	constructor(population: Population, idle: IdleSandboxes, floors: Floors, isPromised: (sandbox: Sandbox) => boolean) {
		this.#population = population;
		this.#idle = idle;
		this.#floors = floors;
		this.#isPromised = isPromised;
	}

	/** Bytes that everything together has which could be evicted. */
	get evictableBytes(): number {
		const { admission } = this.#population;
		return [...this.#idle.all(), ...this.#floors.ready()].reduce((sum, each) => sum + admission.held(each.id), 0);
	}

	/**
	 * Evicts the longest idle, then prewarmed ones, then those that a function has always, until `bytes` fit. @param id of the sandbox that they are for, if it holds some already
	 * @returns whether they do; when not yet, the removal of what was evicted asks again
	 */
	make(bytes: number, id?: string): boolean {
		const { admission } = this.#population;
		if (admission.missing(bytes, id) <= 0) return admission.fits(bytes, id);
		// Nobody loses what wouldn't be enough.
		if (admission.missing(bytes, id) > this.evictableBytes) return false;
		while (admission.missing(bytes, id) > 0) {
			const victim = this.#idle.oldest((each) => !this.#isPromised(each)) ?? this.#floors.spare() ?? this.#idle.oldest();
			if (victim === undefined) return false;
			this.#population.retire(victim);
		}
		return admission.fits(bytes, id);
	}
}
