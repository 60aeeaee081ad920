import { closeRedis, guarded, LuaScript, type Redis } from "@berth/redis";
import { SLOT_NEWS, slotsOf, slotsWantedOf } from "./keys.js";
import type { QueueLogger } from "./logger.js";

/** What a process that died held is free after this, milliseconds. */
const HELD_MS = 10_000;
/** How long who was refused is told of what is given back: longer than it rests before it asks again, milliseconds. */
const WANTED_MS = 10_000;
/** The part of a project's slots that its background work leaves to those who wait. */
const RESERVE = 1 / 4;

type Lane = "interactive" | "background";

const NOW = `
	local time = redis.call("TIME")
	local now = time[1] * 1000 + math.floor(time[2] / 1000)
	for at = 1, 2 do redis.call("ZREMRANGEBYSCORE", KEYS[at], "-inf", now) end
`;

/** KEYS slots of the lane, of the other one, that one was refused. ARGV slot, how many there are, ms, how many of them are the lane's, for how long that one was refused is known. Gives 1 when it is taken. */
const TAKE = new LuaScript(`${NOW}
	local own = redis.call("ZCARD", KEYS[1])
	if own >= tonumber(ARGV[4]) or own + redis.call("ZCARD", KEYS[2]) >= tonumber(ARGV[2]) then
		if tonumber(ARGV[5]) > 0 then redis.call("SET", KEYS[3], "", "PX", ARGV[5]) end
		return 0
	end
	redis.call("ZADD", KEYS[1], now + ARGV[3], ARGV[1])
	redis.call("PEXPIRE", KEYS[1], ARGV[3])
	return 1
`);

/** KEYS slots of the lane, that one was refused. ARGV slot, channel, project. */
const LEAVE = new LuaScript(`
	if redis.call("ZREM", KEYS[1], ARGV[1]) == 1 and redis.call("DEL", KEYS[2]) == 1 then redis.call("PUBLISH", ARGV[2], ARGV[3]) end
`);

/** KEYS slots of both lanes. ARGV ms, slots of the first that are held on. */
const KEEP = new LuaScript(`${NOW}
	for at = 2, #ARGV do redis.call("ZADD", KEYS[1], now + ARGV[1], ARGV[at]) end
	redis.call("PEXPIRE", KEYS[1], ARGV[1])
`);

/** KEYS slots of both lanes. Gives how many are taken. */
const COUNT = new LuaScript(`${NOW}
	return redis.call("ZCARD", KEYS[1]) + redis.call("ZCARD", KEYS[2])
`);

export interface ProjectSlotsParts {
	/** A connection for `command` use to the fast Redis, which it owns. */
	readonly redis: Redis;
	/** Tells this process's slots from all others'. */
	readonly holder: string;
	readonly log: QueueLogger;
	/** Default: 10 s. */
	readonly heldMs?: number;
	/** The part of a project's slots that its background work leaves to those who wait, 0 to 1. Default: a quarter. */
	readonly reserve?: number;
}

/**
 * What projects with a bound have in flight at once, of both lanes, over all gateways and nodes. It costs a question for each invocation
 * of such a project, and none for any other. What was taken is held on until it is given back; should the fast Redis lose it, until it is told anew.
 * The background lane never has the last of them, as long as there is more than one: who waits would be refused for what nobody waits for.
 */
export class ProjectSlots {
	readonly #parts: ProjectSlotsParts;
	readonly #heldMs: number;
	/** By lane and project. */
	readonly #held: Readonly<Record<Lane, Map<string, Set<string>>>> = { interactive: new Map(), background: new Map() };
	#taken = 0;
	#beat: NodeJS.Timeout | undefined;

	constructor(parts: ProjectSlotsParts) {
		this.#parts = parts;
		this.#heldMs = parts.heldMs ?? HELD_MS;
	}

	/** @param limit how many the project may have at once, of both lanes. @returns gives it back; undefined when there is none. @throws BerthError unavailable */
	async take(project: string, limit: number, lane: Lane = "interactive"): Promise<(() => void) | undefined> {
		const { redis, holder, reserve = RESERVE } = this.#parts;
		const slot = `${holder}:${++this.#taken}`;
		const [most, wantedMs] = lane === "interactive" ? [limit, 0] : [mostInBackground(limit, reserve), WANTED_MS];
		const keys = [...keysOf(project, lane), slotsWantedOf(project)];
		const args = [slot, limit, this.#heldMs, most, wantedMs];
		const taken = await guarded(redis, "counting what is in flight", () => TAKE.run(redis, keys, args));
		if (taken !== 1) return undefined;
		const held = this.#held[lane].get(project) ?? new Set();
		this.#held[lane].set(project, held.add(slot));
		this.#beat ??= setInterval(() => void this.#keep(), this.#heldMs / 4).unref();
		return () => this.#leave(project, lane, slot);
	}

	/** How many a project has taken. @throws BerthError unavailable */
	async count(project: string): Promise<number> {
		const { redis } = this.#parts;
		return Number(await guarded(redis, "counting what is in flight", () => COUNT.run(redis, keysOf(project, "interactive"), [])));
	}

	async close(): Promise<void> {
		clearInterval(this.#beat);
		await closeRedis(this.#parts.redis);
	}

	#leave(project: string, lane: Lane, slot: string): void {
		const held = this.#held[lane].get(project);
		if (held?.delete(slot) !== true) return;
		if (held.size === 0) this.#held[lane].delete(project);
		const { redis, log } = this.#parts;
		LEAVE.run(redis, [slotsOf(project, lane), slotsWantedOf(project)], [slot, SLOT_NEWS, project]).catch((error: unknown) =>
			log.debug({ error, project }, "a slot is free when its time is over"),
		);
	}

	async #keep(): Promise<void> {
		const { redis, log } = this.#parts;
		const keeps = (["interactive", "background"] as const).flatMap((lane) =>
			[...this.#held[lane]].map(([project, slots]) => KEEP.run(redis, keysOf(project, lane), [this.#heldMs, ...slots])),
		);
		try {
			await Promise.all(keeps);
		} catch (error) {
			log.debug({ error }, "slots couldn't be held on; they are tried again");
		}
	}
}

/** A part of them, and one at least, is for those who wait; where there is one only, it is both lanes'. */
export function mostInBackground(limit: number, reserve: number): number {
	return reserve === 0 ? limit : Math.max(1, limit - Math.max(1, Math.floor(limit * reserve)));
}

/** Of a lane, and of the other one. */
function keysOf(project: string, lane: Lane): string[] {
	return [slotsOf(project, lane), slotsOf(project, lane === "interactive" ? "background" : "interactive")];
}
