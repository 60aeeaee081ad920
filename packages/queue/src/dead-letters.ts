import { guarded, type Redis } from "@berth/redis";
import { DEFAULT_RETENTION, type Retention } from "./background-records.js";
import { CLAIM_REPLAY, PURGE, REPLAYED } from "./background-scripts.js";
import { backgroundRecordOf, deadLettersOf } from "./keys.js";

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

	/**
	 * The id to replay one under: the one that was given before, when that replay wasn't seen to its end. Undefined for what is no dead letter.
	 * @throws BerthError `unavailable`
	 */
	async claimReplay(project: string, id: string, as: string): Promise<string | undefined> {
		const claimed = (await this.#run("replaying a dead letter", CLAIM_REPLAY, project, id, as)) as string;
		return claimed === "" ? undefined : claimed;
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
