import { guarded, type Redis } from "@berth/redis";
import { DEFAULT_RETENTION, type Retention } from "./background-records.js";
import { CLAIM_REPLAY, PURGE, REPLAYED } from "./background-scripts.js";
import { backgroundRecordOf, deadLettersOf } from "./keys.js";

/** What a dead letter is replayed as. */
export type ReplayClaim =
	/** This one: the one that was given before, when that replay wasn't seen to its end. */
	| { readonly kind: "claimed"; readonly as: string }
	/** It was, as this one, and isn't again. */
	| { readonly kind: "replayed"; readonly as: string }
	/** There is no such dead letter, and was none. */
	| { readonly kind: "none" };

/** Background invocations that were given up: kept for a week, or until they are replayed or purged. They stay counted as dead. */
export class DeadLetters {
	readonly #redis: Redis;
	readonly #retention: Retention;

	/** @param redis the durable one, for `command` use; not owned */
	constructor(redis: Redis, retention: Retention = DEFAULT_RETENTION) {
		this.#redis = redis;
		this.#retention = retention;
	}

	/** Whether it is one now. @throws BerthError `unavailable` */
	async has(project: string, id: string): Promise<boolean> {
		const score = await guarded(this.#redis, "looking for a dead letter", () => this.#redis.zscore(deadLettersOf(project), id));
		return score !== null;
	}

	/** Claims the replay of one. @throws BerthError `unavailable` */
	async claimReplay(project: string, id: string, as: string): Promise<ReplayClaim> {
		const [kind, claimed] = (await this.#run("replaying a dead letter", CLAIM_REPLAY, project, id, as)) as [ReplayClaim["kind"], string];
		return kind === "none" ? { kind } : { kind, as: claimed };
	}

	/** The replay was accepted: it is no dead letter any more. @throws BerthError `unavailable` */
	async replayed(project: string, id: string): Promise<void> {
		await this.#run("replaying a dead letter", REPLAYED, project, id, this.#retention.recordsMs);
	}

	/** Removes its record. @returns whether it was one. @throws BerthError `unavailable` */
	async purge(project: string, id: string): Promise<boolean> {
		return (await this.#run("purging a dead letter", PURGE, project, id)) === 1;
	}

	#run(what: string, script: typeof PURGE, project: string, id: string, ...args: (string | number)[]): Promise<unknown> {
		const keys = [backgroundRecordOf(id), deadLettersOf(project)];
		return guarded(this.#redis, what, () => script.run(this.#redis, keys, [id, ...args]));
	}
}
