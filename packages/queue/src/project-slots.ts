import { closeRedis, guarded, LuaScript, type Redis } from "@berth/redis";
import { slotsOf } from "./keys.js";
import type { QueueLogger } from "./logger.js";

/** What a process that died held is free after this, milliseconds. */
const HELD_MS = 10_000;

const NOW = `
	local time = redis.call("TIME")
	local now = time[1] * 1000 + math.floor(time[2] / 1000)
	redis.call("ZREMRANGEBYSCORE", KEYS[1], "-inf", now)
`;

/** KEYS slots. ARGV slot, how many there are, ms. Gives 1 when it is taken. */
const TAKE = new LuaScript(`${NOW}
	if redis.call("ZCARD", KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
	redis.call("ZADD", KEYS[1], now + ARGV[3], ARGV[1])
	redis.call("PEXPIRE", KEYS[1], ARGV[3])
	return 1
`);

/** KEYS slots. ARGV ms, slots that are held on. */
const KEEP = new LuaScript(`${NOW}
	for at = 2, #ARGV do redis.call("ZADD", KEYS[1], now + ARGV[1], ARGV[at]) end
	redis.call("PEXPIRE", KEYS[1], ARGV[1])
`);

/** KEYS slots. Gives how many are taken. */
const COUNT = new LuaScript(`${NOW}
	return redis.call("ZCARD", KEYS[1])
`);

export interface ProjectSlotsParts {
	/** A connection for `command` use to the fast Redis, which it owns. */
	readonly redis: Redis;
	/** Tells this process's slots from all others'. */
	readonly holder: string;
	readonly log: QueueLogger;
	/** Default: 10 s. */
	readonly heldMs?: number;
}

/**
 * What projects with a bound have in flight at once, of both lanes, over all gateways and nodes. It costs a question for each invocation
 * of such a project, and none for any other. What was taken is held on until it is given back; should the fast Redis lose it, until it is told anew.
 */
export class ProjectSlots {
	readonly #parts: ProjectSlotsParts;
	readonly #heldMs: number;
	/** By project. */
	readonly #held = new Map<string, Set<string>>();
	#taken = 0;
	#beat: NodeJS.Timeout | undefined;

	constructor(parts: ProjectSlotsParts) {
		this.#parts = parts;
		this.#heldMs = parts.heldMs ?? HELD_MS;
	}

	/** @param limit how many the project may have at once. @returns gives it back; undefined when there is none. @throws BerthError unavailable */
	async take(project: string, limit: number): Promise<(() => void) | undefined> {
		const { redis, holder } = this.#parts;
		const slot = `${holder}:${++this.#taken}`;
		const taken = await guarded(redis, "counting what is in flight", () =>
			TAKE.run(redis, [slotsOf(project)], [slot, limit, this.#heldMs]),
		);
		if (taken !== 1) return undefined;
		const held = this.#held.get(project) ?? new Set();
		this.#held.set(project, held.add(slot));
		this.#beat ??= setInterval(() => void this.#keep(), this.#heldMs / 4).unref();
		return () => this.#leave(project, slot);
	}

	/** How many a project has taken. @throws BerthError unavailable */
	async count(project: string): Promise<number> {
		const { redis } = this.#parts;
		return Number(await guarded(redis, "counting what is in flight", () => COUNT.run(redis, [slotsOf(project)], [])));
	}

	async close(): Promise<void> {
		clearInterval(this.#beat);
		await closeRedis(this.#parts.redis);
	}

	#leave(project: string, slot: string): void {
		const held = this.#held.get(project);
		if (held?.delete(slot) !== true) return;
		if (held.size === 0) this.#held.delete(project);
		const { redis, log } = this.#parts;
		redis.zrem(slotsOf(project), slot).catch((error: unknown) => log.debug({ error, project }, "a slot is free when its time is over"));
	}

	async #keep(): Promise<void> {
		const { redis, log } = this.#parts;
		try {
			await Promise.all([...this.#held].map(([project, slots]) => KEEP.run(redis, [slotsOf(project)], [this.#heldMs, ...slots])));
		} catch (error) {
			log.debug({ error }, "slots couldn't be held on; they are tried again");
		}
	}
}
