import type { LaneLimits } from "@berth/contracts";
import { LuaScript, type Redis } from "@berth/redis";
import { LANE } from "../keys.js";
import type { QueueLogger } from "../logger.js";
import type { FunctionQueues } from "./function-queues.js";

/** The limits of a function now; undefined when there is no such function, or none that is ready. */
export type LimitsOf = (project: string, name: string) => Promise<LaneLimits | undefined>;

/** When what a change that nobody heard of is found out, milliseconds. */
const KEPT_MS = 5 * 60_000;
const MOST_KEPT = 10_000;

/** What BullMQ bounds a queue by is in its metadata; writing what is there already costs a disk's sync. */
const LIMIT = new LuaScript(`
	for at, field in ipairs({ "concurrency", "max", "duration" }) do
		local now = redis.call("HGET", KEYS[1], field) or ""
		if now ~= ARGV[at] then
			if ARGV[at] == "" then
				redis.call("HDEL", KEYS[1], field)
			else
				redis.call("HSET", KEYS[1], field, ARGV[at])
				redis.call("SADD", KEYS[2], ARGV[4])
			end
		end
	end
`);

export interface FunctionLimitsParts {
	readonly redis: Redis;
	readonly queues: FunctionQueues;
	readonly limitsOf: LimitsOf;
	readonly log: QueueLogger;
}

/**
 * Keeps each queue's bounds as the function's live version has them: BullMQ holds to them in the script that takes a job,
 * so that they are exact over all nodes. Every worker writes them, before it takes its first job of a function and whenever that changes.
 */
export class FunctionLimits {
	readonly #parts: FunctionLimitsParts;
	readonly #known = new Map<string, { readonly atMs: number; readonly limits: LaneLimits }>();

	constructor(parts: FunctionLimitsParts) {
		this.#parts = parts;
	}

	/** The limits that were written lately; undefined when they have to be, first. */
	known(key: string): LaneLimits | undefined {
		const known = this.#known.get(key);
		return known !== undefined && performance.now() - known.atMs < KEPT_MS ? known.limits : undefined;
	}

	/** Writes a function's limits. @throws when they can't be read or written */
	async write(key: string): Promise<void> {
		const [project = "", name] = key.split("/");
		// The queue that all functions shared has none.
		const limits = (name === undefined ? undefined : await this.#parts.limitsOf(project, name)) ?? {};
		const { concurrency = "", rate } = limits;
		const keys = [this.#parts.queues.of(key).toKey("meta"), LANE.known];
		await LIMIT.run(this.#parts.redis, keys, [concurrency, rate?.limit ?? "", rate?.periodMs ?? "", key]);
		this.#known.delete(key);
		this.#known.set(key, { atMs: performance.now(), limits });
		const [oldest] = this.#known.size > MOST_KEPT ? this.#known.keys() : [];
		if (oldest !== undefined) this.#known.delete(oldest);
	}

	/** A function changed, or with undefined any may have: those that were written are written again. */
	async changed(key: string | undefined): Promise<void> {
		const stale = key === undefined ? [...this.#known.keys()] : this.#known.has(key) ? [key] : [];
		for (const one of stale) {
			try {
				await this.write(one);
			} catch (error) {
				this.#known.delete(one);
				this.#parts.log.warn(
					{ error, function: one },
					"the limits of a function's background work couldn't be written; they are before the next is taken",
				);
			}
		}
	}
}
