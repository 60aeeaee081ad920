import { limitsOf } from "./boot-key.js";
import { Demand, type Waiter } from "./demand.js";
import { closing } from "./refusals.js";
import type { Asking } from "./shortage.js";
import type { Turns } from "./turns.js";
import type { Specialisation } from "./version-target.js";

/** Who waits for what, of every version that somebody asks for or that is run. */
export class Demands {
	readonly #byKey = new Map<string, Demand>();
	readonly #turns: Turns;

	constructor(turns: Turns) {
		this.#turns = turns;
	}

	of(target: Specialisation): Demand {
		let demand = this.#byKey.get(target.key);
		if (demand === undefined) {
			demand = new Demand(target);
			this.#byKey.set(target.key, demand);
		} else demand.renew(target);
		return demand;
	}

	/** How many sandboxes run a version, or are started for it. */
	servingOf(key: string): number {
		return this.#byKey.get(key)?.serving ?? 0;
	}

	all(): readonly Demand[] {
		return [...this.#byKey.values()];
	}

	get waiting(): number {
		return this.all().reduce((sum, demand) => sum + demand.waiting, 0);
	}

	/** Those somebody waits for without a start of their own, in turn: the deepest first. */
	unserved(): readonly Demand[] {
		return this.all()
			.filter((demand) => demand.unserved !== undefined)
			.sort((a, b) => this.#turnOf(a, b));
	}

	#turnOf(one: Demand, other: Demand): number {
		const [{ first: a }, { first: b }] = [one, other];
		if (a === undefined || b === undefined) return 0;
		return b.nesting.depth - a.nesting.depth || this.#turns.compare(one, a.sinceMs, other, b.sinceMs);
	}

	/** Bytes that others of them give back soon. */
	backSoonBytes(except: Demand): number {
		let bytes = 0;
		for (const other of this.#byKey.values()) if (other !== except) bytes += other.backSoon * bytesOf(other);
		return bytes;
	}

	/** Forgets those of which nobody asks or runs any sandbox. @param rests whether one of the version does @returns what was forgotten */
	forgetQuiet(rests: (key: string) => boolean): readonly Demand[] {
		const quiet = this.all().filter((demand) => demand.quiet && !rests(demand.target.key));
		for (const demand of quiet) {
			demand.forget();
			this.#byKey.delete(demand.target.key);
		}
		return quiet;
	}

	/** Nobody waits any longer. */
	close(): void {
		for (const demand of this.#byKey.values()) {
			demand.forget();
			for (let waiter = demand.next(); waiter !== undefined; waiter = demand.next()) waiter.reject(closing());
		}
	}
}

export function bytesOf({ target }: Demand): number {
	return limitsOf(target.manifest).memoryBytes;
}

export function askingOf({ sinceMs, nesting: { depth } }: Waiter): Asking {
	return { sinceMs, depth };
}
