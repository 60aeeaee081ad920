import { closeRedis, guarded, type Redis } from "@berth/redis";
import { rateOf } from "./keys.js";
import type { QueueLogger } from "./logger.js";
import { LEND, LENT_MS } from "./rate-script.js";

/** So much of a burst a gateway has ahead, so that most requests ask nobody. Small bursts are lent one by one: nobody hoards them. */
const AHEAD = 1 / 8;
/** A project that asks for nothing for so long gives back what its gateway has ahead, milliseconds. */
const IDLE_MS = 1000;
const GIVEN_UP_MS = LENT_MS - 1000;

/** What bounds a project's requests: so many a second, on and on, and so many at once after a rest. */
export interface Rate {
	readonly perSecond: number;
	readonly burst: number;
}

export interface RateVerdict {
	readonly allowed: boolean;
	/** Requests that could be made now, as far as this gateway knows. */
	readonly remaining: number;
	/** Of one that isn't allowed: until another one may be, milliseconds. */
	readonly retryAfterMs: number;
}

/** What bounds some requests, by what it is called: a project's, or a key's of it. */
export interface Bucket {
	readonly name: string;
	readonly rate: Rate;
}

export interface RateLimitsParts {
	readonly redis: Redis;
	readonly gatewayId: string;
	readonly log: QueueLogger;
	/** Monotonic, milliseconds; the server's own clock is told it too, in tests. */
	readonly clock?: () => number;
}

/** Of one project, what this gateway has ahead. */
interface Purse {
	rate: Rate;
	ahead: number;
	/** What the bucket had left when it was asked last. */
	left: number;
	/** When what is ahead was lent, or confirmed. */
	lentAtMs: number;
	usedAtMs: number;
	/** There is none before then. */
	emptyUntilMs: number;
	asking: Promise<void> | undefined;
}

/**
 * Requests that projects may make, over all gateways together: a token bucket in the fast Redis, of which each gateway borrows some ahead.
 * While Redis is away what was borrowed is all there is, for a few seconds; then nothing is let through.
 */
export class RateLimits {
	readonly #parts: RateLimitsParts;
	readonly #clock: () => number;
	readonly #purses = new Map<string, Purse>();
	#sweeping: NodeJS.Timeout | undefined;
	#isClosed = false;

	constructor(parts: RateLimitsParts) {
		this.#parts = parts;
		this.#clock = parts.clock ?? (() => performance.now());
	}

	/** One more request of a project. Asks Redis only when nothing is ahead. @throws BerthError unavailable */
	take(project: string, rate: Rate): RateVerdict | Promise<RateVerdict> {
		const purse = this.#purseOf(project, rate);
		const nowMs = this.#clock();
		purse.usedAtMs = nowMs;
		this.#giveUpOld(purse, nowMs);
		if (purse.ahead > 0) {
			const verdict = this.#spend(purse);
			if (purse.ahead <= aheadOf(purse.rate) / 2 && nowMs >= purse.emptyUntilMs) this.#refill(project, purse);
			return verdict;
		}
		if (purse.asking === undefined && nowMs < purse.emptyUntilMs) return refusal(purse.emptyUntilMs - nowMs);
		return this.#takeFromRedis(project, purse);
	}

	/**
	 * One more request that all of these bound; when one refuses it, none of the others is spent. What has to be asked for is asked for at once.
	 * @returns of each, in their order @throws BerthError unavailable
	 */
	takeAll(buckets: readonly Bucket[]): readonly RateVerdict[] | Promise<readonly RateVerdict[]> {
		const taken = buckets.map(({ name, rate }) => this.take(name, rate));
		return taken.some((one) => one instanceof Promise)
			? Promise.all(taken).then((verdicts) => this.#allOrNone(buckets, verdicts))
			: this.#allOrNone(buckets, taken as RateVerdict[]);
	}

	/** Gives back what wasn't used lately, and forgets projects that have nothing. It does so by itself. @throws BerthError unavailable */
	async sweep(): Promise<void> {
		const nowMs = this.#clock();
		const idle = [...this.#purses].filter(([, { usedAtMs, asking }]) => asking === undefined && nowMs - usedAtMs >= IDLE_MS);
		await Promise.all(
			idle.map(async ([project, purse]) => {
				if (purse.ahead > 0) await this.#ask(project, purse, 0, purse.ahead);
				if (purse.ahead === 0 && purse.asking === undefined && this.#clock() >= purse.emptyUntilMs) this.#purses.delete(project);
			}),
		);
		if (this.#purses.size > 0) this.#sweepLater();
	}

	async close(): Promise<void> {
		this.#isClosed = true;
		clearTimeout(this.#sweeping);
		await closeRedis(this.#parts.redis);
	}

	#purseOf(project: string, rate: Rate): Purse {
		const known = this.#purses.get(project);
		if (known !== undefined) {
			known.rate = rate;
			return known;
		}
		const purse: Purse = { rate, ahead: 0, left: 0, lentAtMs: 0, usedAtMs: 0, emptyUntilMs: 0, asking: undefined };
		this.#purses.set(project, purse);
		this.#sweepLater();
		return purse;
	}

	#spend(purse: Purse): RateVerdict {
		purse.ahead--;
		return { allowed: true, remaining: purse.ahead + purse.left, retryAfterMs: 0 };
	}

	#allOrNone(buckets: readonly Bucket[], verdicts: readonly RateVerdict[]): readonly RateVerdict[] {
		if (verdicts.every(({ allowed }) => allowed)) return verdicts;
		return verdicts.map((verdict, at) => {
			const purse = verdict.allowed ? this.#purses.get(buckets[at]?.name ?? "") : undefined;
			if (purse === undefined) return verdict;
			purse.ahead++;
			return { ...verdict, remaining: verdict.remaining + 1 };
		});
	}

	/** Others may have it already. */
	#giveUpOld(purse: Purse, nowMs: number): void {
		if (nowMs - purse.lentAtMs >= GIVEN_UP_MS) purse.ahead = 0;
	}

	async #takeFromRedis(project: string, purse: Purse): Promise<RateVerdict> {
		// Those who come at the same time are counted in: they share what comes.
		for (;;) {
			purse.asking ??= this.#ask(project, purse, Math.max(1, aheadOf(purse.rate)), 0).finally(() => {
				purse.asking = undefined;
			});
			await purse.asking;
			if (purse.ahead > 0) return this.#spend(purse);
			const waitMs = purse.emptyUntilMs - this.#clock();
			if (waitMs > 0) return refusal(waitMs);
		}
	}

	#refill(project: string, purse: Purse): void {
		purse.asking ??= this.#ask(project, purse, aheadOf(purse.rate) - purse.ahead, 0)
			.catch((error: unknown) => this.#parts.log.debug({ error, project }, "requests couldn't be borrowed ahead"))
			.finally(() => {
				purse.asking = undefined;
			});
	}

	/** Says what there is ahead, gives back, and borrows. In doubt about what arrived, nothing was lent, and what was given back is gone. */
	async #ask(project: string, purse: Purse, want: number, back: number): Promise<void> {
		const { redis, gatewayId, clock } = this.#parts;
		const askedAtMs = this.#clock();
		purse.ahead -= back;
		const { rate, ahead } = purse;
		const args = [gatewayId, rate.perSecond, rate.burst, ahead, back, want, clock === undefined ? "" : askedAtMs];
		const answer = await guarded(redis, "counting requests", () => LEND.run(redis, [rateOf(project)], args));
		const [lent, has, waitMs, left] = answer as [number, number, number, number];
		// What Redis knows nothing of, as it was lost there, others may have.
		purse.ahead = Math.max(0, purse.ahead - (ahead - has)) + lent;
		purse.left = left;
		purse.lentAtMs = askedAtMs;
		purse.emptyUntilMs = lent > 0 || want === 0 ? 0 : this.#clock() + waitMs;
	}

	#sweepLater(): void {
		if (this.#isClosed || this.#parts.clock !== undefined || this.#sweeping !== undefined) return;
		this.#sweeping = setTimeout(() => {
			this.#sweeping = undefined;
			this.sweep().catch((error: unknown) => {
				this.#parts.log.debug({ error }, "requests that weren't made couldn't be given back");
				this.#sweepLater();
			});
		}, IDLE_MS).unref();
	}
}

function aheadOf({ burst }: Rate): number {
	return Math.floor(burst * AHEAD);
}

function refusal(waitMs: number): RateVerdict {
	return { allowed: false, remaining: 0, retryAfterMs: Math.max(1, Math.ceil(waitMs)) };
}
