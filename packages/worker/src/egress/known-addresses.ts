import { EGRESS_ADDRESSES, SECOND_MS } from "@berth/contracts";

/** Or why nobody may be led there. */
export type Addresses = readonly string[] | { readonly against: string };

/** How long the addresses of a name hold here, milliseconds: less than DNS says, so that no connection waits for them but the first. */
const KEEP_MS = 5 * SECOND_MS;
/** The same of an error. */
const KEEP_ERROR_MS = SECOND_MS;

interface Known {
	readonly found: Promise<Addresses>;
	untilMs: number;
}

/** The addresses of names that one sandbox connects to: whoever opens connections doesn't have the resolver asked for each. */
export class KnownAddresses {
	readonly #look: (host: string) => Promise<Addresses>;
	readonly #known = new Map<string, Known>();

	constructor(look: (host: string) => Promise<Addresses>) {
		this.#look = look;
	}

	/** @throws what looking for them throws @param nowMs of a clock that doesn't go back */
	of(host: string, nowMs = performance.now()): Promise<Addresses> {
		const known = this.#known.get(host);
		if (known !== undefined && nowMs < known.untilMs) return known.found;
		const one = { found: this.#look(host), untilMs: nowMs + KEEP_MS };
		one.found.catch(() => {
			one.untilMs = nowMs + KEEP_ERROR_MS;
		});
		this.#known.delete(host);
		this.#known.set(host, one);
		// No more than it has names.
		const [[oldest]] = this.#known as unknown as [[string]];
		if (this.#known.size > EGRESS_ADDRESSES.count) this.#known.delete(oldest);
		return one.found;
	}
}
