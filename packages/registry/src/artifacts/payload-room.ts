import { setTimeout as pause } from "node:timers/promises";
import { BerthError, MIB, MINUTE_MS, SECOND_MS } from "@berth/contracts";
import { bytesOf, factsOf, keyOfName } from "./payload-key.js";
import { type PayloadPlace, removeAll } from "./payload-place.js";

/** How much a store may hold. Processes that share it may go beyond by what they write until each of them counts again. */
export interface PayloadBudget {
	readonly bytes: number;
	/** `refuse`: somebody still needs what is there, so nothing more is taken. `remove oldest`: what is there may be missed. */
	readonly whenFull: "refuse" | "remove oldest";
}

/** Of the budget: where room begins to be made, and how much is left then, so that the next one doesn't begin it again. */
const NEAR = 0.9;
const LEFT = 0.8;
/** How long a count is good for by which a payload doesn't fit, and the least between two that nobody waits for. */
const FULL_FOR_MS = SECOND_MS;
/** How long a payload waits for room, and for the first count of all (what isn't known by then isn't minded), milliseconds. */
export interface RoomPatience {
	readonly roomMs: number;
	readonly firstMs: number;
}
const PATIENCE: RoomPatience = { roomMs: 10 * SECOND_MS, firstMs: 2 * SECOND_MS };
/** A store that can't be counted is taken at its word for so long. */
const TRUSTED_MS = 10 * MINUTE_MS;

/**
 * What a store holds of its budget. It is counted from what is put and removed here, and by a list of what is there, which nobody waits for:
 * from nine tenths on it is made anew each second, and the oldest go. Only who really has no room waits for some.
 */
export class PayloadRoom {
	readonly #place: PayloadPlace;
	readonly #budget: PayloadBudget;
	readonly #onTrouble: (error: unknown) => void;
	readonly #patience: RoomPatience;
	#bytes = 0;
	#countedAtMs = Number.NEGATIVE_INFINITY;
	/** How long that took. */
	#countMs = 0;
	/** After a count that failed, and one by which nothing had to go: nothing more is tried until then, unless somebody waits for it. */
	#restsUntilMs = Number.NEGATIVE_INFINITY;
	#hasFailed = false;
	/** What is being put. */
	readonly #arriving = new Set<string>();
	/** While a list is read, what came (true) and went since it was begun: it may say either. */
	#meanwhile: Map<string, boolean> | undefined;
	#counting: Promise<readonly string[]> | undefined;
	#removing: Promise<void> | undefined;
	#freed = Promise.withResolvers<void>();

	/** @param onTrouble told of counts and removals that failed while nobody waited for them */
	constructor(place: PayloadPlace, budget: PayloadBudget, onTrouble: (error: unknown) => void, patience = PATIENCE) {
		this.#patience = patience;
		this.#place = place;
		this.#budget = budget;
		this.#onTrouble = onTrouble;
	}

	/** What the store holds, as it was counted last, and may hold. */
	get figures(): { readonly takenBytes: number; readonly maxBytes: number } {
		return { takenBytes: this.#bytes, maxBytes: this.#budget.bytes };
	}

	/** Counts what is there, in the background. */
	begin(): void {
		this.#behind(this.#count());
	}

	/**
	 * Counts in what is about to be put, when there is room or room was made; whoever called it says `arrived` or `gone` then.
	 * @throws BerthError `storage_full`; `unavailable` when the place is away
	 */
	async admit(key: string): Promise<void> {
		const bytes = bytesOf(key);
		if (bytes > this.#budget.bytes)
			throw new BerthError("storage_full", `${bytes} bytes are more than there is room for at all, ${this.#budget.bytes}`);
		if (!this.#isTrusted()) await inTime(this.#count(), this.#patience.firstMs);
		const until = performance.now() + this.#patience.roomMs;
		// Others who waited for the same room may have taken it.
		while (this.#bytes + bytes > this.#budget.bytes) await this.#wait(bytes, until);
		this.#bytes += bytes;
		this.#arriving.add(key);
		this.#meanwhile?.set(key, true);
		this.#keepUp();
	}

	arrived(key: string): void {
		this.#arriving.delete(key);
	}

	/** It was removed, or isn't put after all. */
	gone(name: string): void {
		const key = keyOfName(name);
		this.#arriving.delete(key);
		this.#meanwhile?.set(key, false);
		this.#bytes = Math.max(0, this.#bytes - bytesOf(key));
		this.#freed.resolve();
		this.#freed = Promise.withResolvers();
	}

	/** Sees to it that the next ones have room, and what is here is known; waits for neither. */
	#keepUp(): void {
		const now = performance.now();
		if (this.#counting !== undefined || this.#removing !== undefined || now < this.#restsUntilMs) return;
		const isNear = this.#isNear(0);
		const goodForMs = isNear ? Math.max(FULL_FOR_MS, this.#countMs) : this.#place.countedForMs;
		if (isNear && this.#budget.whenFull === "remove oldest") this.#behind(this.#makeRoom(0));
		else if (now - this.#countedAtMs > goodForMs) this.#behind(this.#count());
	}

	#isNear(bytes: number): boolean {
		return this.#bytes + bytes > NEAR * this.#budget.bytes;
	}

	#isTrusted(): boolean {
		const ageMs = performance.now() - this.#countedAtMs;
		return ageMs < TRUSTED_MS || (ageMs < Number.POSITIVE_INFINITY && !this.#hasFailed);
	}

	#behind(done: Promise<unknown>): void {
		done.catch(this.#onTrouble);
	}

	/** There may be room then. @throws BerthError when there is none */
	async #wait(bytes: number, until: number): Promise<void> {
		const waitMs = until - performance.now();
		const mib = Math.floor(this.#budget.bytes / MIB);
		if (this.#budget.whenFull === "refuse") {
			const isKnown = performance.now() - this.#countedAtMs <= FULL_FOR_MS;
			if (isKnown || !(await inTime(this.#count(), waitMs)))
				throw new BerthError("storage_full", `${mib} MiB of bodies wait to be run already; try again later`);
		} else if (waitMs <= 0 || !(await inTime(Promise.race([this.#makeRoom(bytes), this.#freed.promise]), waitMs))) {
			throw new BerthError(
				"unavailable",
				`what is to go so that there is room in ${mib} MiB isn't gone within ${this.#patience.roomMs / SECOND_MS} s`,
			);
		}
	}

	#makeRoom(bytes: number): Promise<void> {
		this.#removing ??= this.#removeOldest(bytes).finally(() => {
			this.#removing = undefined;
		});
		return this.#removing;
	}

	async #removeOldest(bytes: number): Promise<void> {
		const names = await this.#count();
		if (!this.#isNear(bytes)) return this.#rest();
		let tooMany = this.#bytes + bytes - LEFT * this.#budget.bytes;
		const oldest = names.filter((name) => {
			if (tooMany <= 0 || factsOf(name) === undefined || this.#arriving.has(keyOfName(name))) return false;
			tooMany -= bytesOf(name);
			return true;
		});
		await removeAll(this.#place, oldest, (name) => this.gone(name));
	}

	#count(): Promise<readonly string[]> {
		this.#counting ??= this.#list().finally(() => {
			this.#counting = undefined;
		});
		return this.#counting;
	}

	async #list(): Promise<readonly string[]> {
		const beganMs = performance.now();
		const meanwhile = new Map(Array.from(this.#arriving, (key) => [key, true]));
		this.#meanwhile = meanwhile;
		try {
			const names = await this.#place.names();
			const there = new Set(names.map(keyOfName));
			for (const [key, came] of meanwhile) came ? there.add(key) : there.delete(key);
			this.#bytes = 0;
			for (const key of there) this.#bytes += bytesOf(key);
			this.#countedAtMs = performance.now();
			this.#countMs = this.#countedAtMs - beganMs;
			this.#hasFailed = false;
			return names;
		} catch (error) {
			this.#hasFailed = true;
			this.#rest();
			throw error;
		} finally {
			this.#meanwhile = undefined;
		}
	}

	#rest(): void {
		this.#restsUntilMs = performance.now() + FULL_FOR_MS;
	}
}

/** Whether it was done by then; what fails does so here, too. */
async function inTime(done: Promise<unknown>, ms: number): Promise<boolean> {
	const over = new AbortController();
	try {
		return await Promise.race([done.then(() => true), pause(ms, false, { signal: over.signal })]);
	} finally {
		over.abort();
	}
}
