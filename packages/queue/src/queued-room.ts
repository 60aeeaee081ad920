import { BerthError, type InvocationRequest, SECOND_MS } from "@berth/contracts";
import { LuaScript, type Redis } from "@berth/redis";
import { functionKeyOf, functionQueueOf, LANE, QUEUE_PREFIX } from "./keys.js";

/** How many may be queued in the background: of a function, and of all functions of a project. */
export interface QueuedLimits {
	readonly perFunction: number;
	readonly perProject: number;
}
export const DEFAULT_QUEUED_LIMITS: QueuedLimits = { perFunction: 200_000, perProject: 1_000_000 };

/** Why one couldn't be queued. */
export type QueueRefusal = keyof typeof WHOSE;
const WHOSE = { function: "perFunction", project: "perProject" } as const satisfies Record<string, keyof QueuedLimits>;

/** A figure counts for so long; what this gateway has added since is added. */
const FRESH_MS = SECOND_MS;
/** Who was refused is told to come again when a hundredth of the limit is likely to be gone, at the latest in a minute. */
const WORTH_COMING = 1 / 100;
const LONGEST_RETRY_MS = 60 * SECOND_MS;
/** Figures that are kept; of functions beyond them the oldest are read anew. */
const MOST_KEPT = 2000;

/** Jobs of the function, and of every function of its project that has any. */
const COUNT = new LuaScript(`
	local function count(name)
		local prefix = ARGV[1] .. name .. ":"
		return redis.call("LLEN", prefix .. "wait") + redis.call("ZCARD", prefix .. "delayed") + redis.call("LLEN", prefix .. "active")
	end
	if ARGV[2] == "function" then return count(ARGV[3]) end
	local sum = 0
	for _, name in ipairs(redis.call("ZRANGE", KEYS[1], 0, -1)) do
		if string.sub(name, 1, #ARGV[3]) == ARGV[3] then sum = sum + count(ARGV[4] .. name) end
	end
	return sum
`);

/** Bounds what waits in the background. Counting costs one question a second for each function that something is queued of, and one for each project. */
export class QueuedRoom {
	readonly #redis: Redis;
	readonly #limits: QueuedLimits;
	readonly #onRefused: (reason: QueueRefusal) => void;
	readonly #levels = new Map<string, Level>();

	constructor(redis: Redis, limits: QueuedLimits = DEFAULT_QUEUED_LIMITS, onRefused: (reason: QueueRefusal) => void = () => undefined) {
		this.#redis = redis;
		this.#limits = limits;
		this.#onRefused = onRefused;
	}

	/** @throws BerthError queue_full: as `take`, but nothing is taken */
	async require(owner: Pick<InvocationRequest, "project" | "function">): Promise<void> {
		for (const whose of ["function", "project"] as const) await this.#levelOf(owner, whose, 0);
	}

	/** One more is about to be queued. @throws BerthError queue_full */
	async take(owner: Pick<InvocationRequest, "project" | "function">): Promise<void> {
		await this.require(owner);
		for (const whose of ["function", "project"] as const) await this.#levelOf(owner, whose, 1);
	}

	async #levelOf(owner: Pick<InvocationRequest, "project" | "function">, whose: QueueRefusal, more: number): Promise<void> {
		const key = whose === "function" ? functionKeyOf(owner) : `${owner.project}/`;
		const level = this.#levels.get(key) ?? new Level(() => this.#count(whose, key));
		this.#levels.delete(key);
		this.#levels.set(key, level);
		if (this.#levels.size > MOST_KEPT) this.#levels.delete(this.#levels.keys().next().value as string);
		const most = this.#limits[WHOSE[whose]];
		const count = await level.read();
		if (count < most) {
			level.add(more);
			return;
		}
		this.#onRefused(whose);
		const what = whose === "function" ? owner.function : `project ${owner.project}`;
		const retryAfterMs = Math.min(LONGEST_RETRY_MS, Math.max(SECOND_MS, Math.round(level.msUntilLess(Math.max(1, most * WORTH_COMING)))));
		throw new BerthError("queue_full", `${what} has ${count} background invocations queued, of ${most} at most; nothing was accepted`, {
			extra: { retryAfterMs },
		});
	}

	async #count(whose: QueueRefusal, key: string): Promise<number> {
		const name = whose === "function" ? functionQueueOf(key) : key;
		return Number(await COUNT.run(this.#redis, [LANE.index], [`${QUEUE_PREFIX}:`, whose, name, functionQueueOf("")]));
	}
}

/** How much there is of something that is counted elsewhere, as it was lately. */
class Level {
	readonly #count: () => Promise<number>;
	#known = 0;
	#added = 0;
	#atMs = Number.NEGATIVE_INFINITY;
	#perMs = 0;
	#reading: Promise<void> | undefined;

	constructor(count: () => Promise<number>) {
		this.#count = count;
	}

	async read(): Promise<number> {
		if (performance.now() - this.#atMs > FRESH_MS) {
			this.#reading ??= this.#refresh().finally(() => {
				this.#reading = undefined;
			});
			await this.#reading;
		}
		return this.#known + this.#added;
	}

	add(more: number): void {
		this.#added += more;
	}

	/** How long until there is so much less of it, by what went lately; for ever when nothing did. */
	msUntilLess(amount: number): number {
		return this.#perMs > 0 ? amount / this.#perMs : Number.POSITIVE_INFINITY;
	}

	async #refresh(): Promise<void> {
		const expected = this.#known + this.#added;
		const found = await this.#count();
		const nowMs = performance.now();
		this.#perMs = Math.max(0, expected - found) / (nowMs - this.#atMs);
		[this.#known, this.#added, this.#atMs] = [found, 0, nowMs];
	}
}
