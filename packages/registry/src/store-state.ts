import { BerthError } from "@berth/contracts";
import { guarded, type Redis } from "@berth/redis";
import { keys } from "./keys.js";
import { STORE_STATE } from "./scripts.js";

/** Whether the durable Redis knows everything that the artifact store has images of. */
export class StoreState {
	readonly #redis: Redis;

	constructor(redis: Redis) {
		this.#redis = redis;
	}

	/**
	 * Whether the records are all that the artifact store has images of (`whole`); or this Redis is another one than
	 * the one that had them (`lost`), until `recovered`. @param hasImages of functions, in the store
	 */
	async find(hasImages: boolean): Promise<"whole" | "lost"> {
		const state = await guarded(this.#redis, "looking at the store's state", () =>
			STORE_STATE.run(this.#redis, [keys.store], [hasImages ? "lost" : "whole"]),
		);
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

	/** Everything in the artifact store is on record, or given up. */
	async recovered(): Promise<void> {
		await guarded(this.#redis, "recording that the store was recovered", () => this.#redis.set(keys.store, "whole"));
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
