import { BerthError, HOUR_MS } from "@berth/contracts";
import { guarded, putOnce, type Redis } from "@berth/redis";
import { keys } from "./keys.js";

/** What a recovery that was cut short brought back stays for so long, for another one. */
const RECOVERING_MS = 24 * HOUR_MS;

/** Whether the durable Redis knows everything that the artifact store has images of. */
export class StoreState {
	readonly #redis: Redis;

	constructor(redis: Redis) {
		this.#redis = redis;
	}

	/**
	 * Whether the records are all that the artifact store has images of (`whole`); or this Redis is another one than
	 * the one that had them (`lost`), until `recovered`. Nothing is written where something is said: a worker starts while it takes no writes, too. @param hasImages of functions, in the store
	 */
	async find(hasImages: boolean): Promise<"whole" | "lost"> {
		const first = hasImages ? "lost" : "whole";
		const state = await guarded(this.#redis, "looking at the store's state", () => putOnce(this.#redis, keys.store, first));
		return state === "lost" ? "lost" : "whole";
	}

	/** @throws BerthError store_unrecovered while versions are in the artifact store that aren't on record: their numbers aren't known */
	async requireRecovered(): Promise<void> {
		if ((await guarded(this.#redis, "looking at the store's state", () => this.#redis.get(keys.store))) === "lost") throw unrecovered();
	}

	/** @throws BerthError store_unrecovered while functions are in the artifact store that aren't on record: that there is none can't be said */
	async requireKnown(): Promise<void> {
		if ((await guarded(this.#redis, "looking at the store's state", () => this.#redis.get(keys.store))) === "lost")
			throw new BerthError("store_unrecovered", "which functions there are isn't known: run `berth recover` first");
	}

	/** Versions are about to come back, and aliases after them: till `recovered` none is removed for its age. */
	async beginRecovery(): Promise<void> {
		await guarded(this.#redis, "recording that the store is recovered", () => this.#redis.set(keys.recovering, "1", "PX", RECOVERING_MS));
	}

	/** Everything in the artifact store is on record, or given up. */
	async recovered(): Promise<void> {
		await guarded(this.#redis, "recording that the store was recovered", async () => {
			await this.#redis.set(keys.store, "whole");
			await this.#redis.del(keys.recovering);
		});
	}

	/** Whether the aliases on record are all that lead to versions: only then may a version be removed because none does. */
	async hasAllAliases(): Promise<boolean> {
		const [state, recovering] = await guarded(this.#redis, "looking at the store's state", () =>
			this.#redis.mget(keys.store, keys.recovering),
		);
		return state === "whole" && recovering === null;
	}

	/** Whether a worker has found the records to be whole: only then may what they don't name be removed. */
	async isWhole(): Promise<boolean> {
		return (await guarded(this.#redis, "looking at the store's state", () => this.#redis.get(keys.store))) === "whole";
	}
}

/** A new version could take the number of one that isn't on record. */
export function unrecovered(): BerthError {
	const detail = "a new version could take the number of one that is only in the artifact store; run `berth recover` first";
	return new BerthError("store_unrecovered", detail);
}
