import { LIVE, type Selector, type Version } from "@berth/contracts";
import type { Changes } from "./changes.js";

/** What is remembered may be this old when the news of its change got lost, milliseconds. */
const REMEMBERED_MS = 1000;
/** Aliases and numbers of one function that are remembered: numbers are without end. */
const SELECTORS_REMEMBERED = 64;

/** A version, and how many in a hundred invocations are its. */
export interface Share {
	readonly version: Version;
	readonly percent: number;
}

/** Finds what a selector of a function leads to: never nothing. */
export type ReadShares = (project: string, name: string, selector: Selector) => Promise<readonly Share[]>;

/** One function's: by alias or number. */
class Known {
	readonly remembered = new Map<string, { readonly shares: readonly Share[]; readonly untilMs: number }>();
	readonly reading = new Map<string, Promise<readonly Share[]>>();
}

const LIVE_SELECTOR: Selector = { alias: LIVE };

/** The versions that answer for names, remembered for a second at most. Of callers at the same time only one reads. */
export class LiveVersions {
	readonly #read: ReadShares;
	readonly #known = new Map<string, Known>();

	/** @param read what it throws is thrown on */
	constructor(changes: Changes, read: ReadShares) {
		this.#read = read;
		changes.listen((key) => this.forget(key));
	}

	/** The version for one invocation: of those that an alias is split over, one by chance. */
	async get(project: string, name: string, selector: Selector = LIVE_SELECTOR): Promise<Version> {
		const key = `${project}/${name}`;
		const word = "alias" in selector ? selector.alias : String(selector.version);
		const found = this.#known.get(key)?.remembered.get(word);
		if (found !== undefined && found.untilMs > performance.now()) return pick(found.shares);
		return pick(await (this.#known.get(key)?.reading.get(word) ?? this.#find(key, word, this.#read(project, name, selector))));
	}

	/** Whoever asks from now on reads anew. @param key `project/name`; undefined: all of them */
	forget(key: string | undefined): void {
		if (key === undefined) this.#known.clear();
		else this.#known.delete(key);
	}

	async #find(key: string, word: string, reading: Promise<readonly Share[]>): Promise<readonly Share[]> {
		const known = this.#known.get(key) ?? new Known();
		this.#known.set(key, known);
		known.reading.set(word, reading);
		try {
			const shares = await reading;
			// What was forgotten while it was read may be old already: then nobody looks into this `known` any more.
			if (known.remembered.size >= SELECTORS_REMEMBERED) known.remembered.clear();
			known.remembered.set(word, { shares, untilMs: performance.now() + REMEMBERED_MS });
			return shares;
		} finally {
			known.reading.delete(word);
			if (known.remembered.size + known.reading.size === 0 && this.#known.get(key) === known) this.#known.delete(key);
		}
	}
}

/** One version, as often as its share says. */
function pick(shares: readonly Share[]): Version {
	let left = shares.length === 1 ? 0 : Math.random() * 100;
	for (const { version, percent } of shares) {
		left -= percent;
		if (left < 0) return version;
	}
	throw new Error("the shares of an alias don't sum to 100");
}
