/** Slot time that each is given per round, milliseconds. */
export const QUANTUM_MS = 50;
/** More than this isn't held against anybody for ever: whoever comes next gets no more than this ahead, milliseconds. */
const MOST_DEBT_MS = 60_000;
/** What is saved up by who holds all that it may, milliseconds. */
const MOST_SAVED_MS = 1000;

/** What somebody who takes turns may still use. */
export interface Account {
	/** Slot time that it may still use in this round; below 0 it has used some of a later one. */
	creditMs: number;
	/** When it last had something, waiting or in hand. */
	idleSinceMs: number;
}

/** What a turn cost is known. @param chargedMs what it was charged for in advance */
export function settle(account: Account, chargedMs: number, costMs: number): void {
	account.creditMs = Math.max(account.creditMs + chargedMs - costMs, -MOST_DEBT_MS);
}

/**
 * Whose turn it is among those that have work: deficit round robin (Shreedhar and Varghese, 1995), where what a turn costs is charged
 * by whoever gives it. Who comes with nothing held and nothing owed is first.
 */
export class DeficitRing<Member extends Account> {
	readonly #now: () => number;
	/** In the order of their turns. */
	readonly #ring = new Set<Member>();
	readonly #newcomers = new Set<Member>();

	constructor(now: () => number) {
		this.#now = now;
	}

	get size(): number {
		return this.#ring.size + this.#newcomers.size;
	}

	*[Symbol.iterator](): Generator<Member> {
		yield* this.#newcomers;
		yield* this.#ring;
	}

	/** It has work. @param holdsSome whether anything of it runs */
	join(member: Member, holdsSome: boolean): void {
		// Time that is left unused is time that isn't owed.
		const awayMs = holdsSome ? 0 : this.#now() - member.idleSinceMs;
		member.creditMs = Math.min(member.creditMs + awayMs, QUANTUM_MS);
		const isNew = !holdsSome && member.creditMs > 0;
		(isNew ? this.#newcomers : this.#ring).add(member);
	}

	/** It has no more work. */
	leave(member: Member): void {
		this.#ring.delete(member);
		this.#newcomers.delete(member);
		member.idleSinceMs = this.#now();
	}

	some(is: (member: Member) => boolean): boolean {
		for (const member of this) if (is(member)) return true;
		return false;
	}

	/** Whose turn it is of those that may have one. */
	next(mayTake: (member: Member) => boolean): Member | undefined {
		for (const member of this.#newcomers) {
			if (!mayTake(member)) continue;
			this.#newcomers.delete(member);
			this.#ring.add(member);
			return member;
		}
		if (!this.some(mayTake)) return undefined;
		return this.#inRound(mayTake) ?? this.#inLaterRound(mayTake);
	}

	#inRound(mayTake: (member: Member) => boolean): Member | undefined {
		for (let left = this.#ring.size; left > 0; left--) {
			const [member] = this.#ring as Iterable<Member> as [Member];
			const able = mayTake(member);
			if (able && member.creditMs > 0) return member;
			if (member.creditMs < (able ? QUANTUM_MS : MOST_SAVED_MS)) member.creditMs += QUANTUM_MS;
			this.#ring.delete(member);
			this.#ring.add(member);
		}
		return undefined;
	}

	/** Nobody has credit: as many rounds in one go as it takes until somebody has. */
	#inLaterRound(mayTake: (member: Member) => boolean): Member | undefined {
		const able = [...this.#ring].filter(mayTake);
		const most = able.reduce((found, { creditMs }) => Math.max(found, creditMs), Number.NEGATIVE_INFINITY);
		const rounds = most > 0 ? 0 : Math.floor(-most / QUANTUM_MS) + 1;
		for (const member of this.#ring)
			member.creditMs = Math.min(member.creditMs + rounds * QUANTUM_MS, Math.max(member.creditMs, MOST_SAVED_MS));
		return able.find(({ creditMs }) => creditMs > 0);
	}
}
