import { guarded, LuaScript, type Redis } from "@berth/redis";
import { BACKGROUND_RECORDS, BODIES_SWEPT, functionQueueOf, LANE, QUEUE_PREFIX } from "./keys.js";

/** A body that was put for an invocation in the background. */
export interface HeldBody {
	readonly payload: string;
	readonly invocation: string;
}

const SWEEP_EVERY_S = 3600;
const LOOKING = "looking for bodies that are left";
/** Bodies that are asked for at a time. */
const ASKED_AT_ONCE = 100;

/**
 * A job has its body for as long as it is there; an invocation without a job needs none when it is settled, or was never accepted. Whatever
 * else there may be is in doubt, and needs it.
 */
const NEEDS = `
	local function needs(name, id, payload)
		local data = redis.call("HGET", ARGV[2] .. name .. ":" .. id, "data")
		if not data then return nil end
		return string.find(data, payload, 1, true) and 1 or 0
	end
`;

/** ARGV: what keys of records begin with, and those of jobs; then an invocation and its body, each. Gives 1 for each body that is needed, 0 for one that isn't, 2 without a record. */
const NEEDED = new LuaScript(`${NEEDS}
	local needed = {}
	for at = 3, #ARGV, 2 do
		local id, payload = ARGV[at], ARGV[at + 1]
		local record = redis.call("HMGET", ARGV[1] .. id, "head", "state")
		if record[1] then
			local head = cjson.decode(record[1])
			needed[#needed + 1] = needs(head.project .. "/" .. head["function"], id, payload) or (record[2] == "settled" and 0 or 1)
		else
			needed[#needed + 1] = 2
		end
	end
	return needed
`);

/** Of one without a record, whose job any function may have. KEYS: the functions there are. ARGV: as NEEDED, for one. Gives 1 when it is needed. */
const NEEDED_ANYWHERE = new LuaScript(`${NEEDS}
	for _, name in ipairs(redis.call("SMEMBERS", KEYS[1])) do
		local found = needs(name, ARGV[3], ARGV[4])
		if found then return found end
	end
	return 0
`);

/** Tells bodies that are left from those that invocations need. It doesn't own the connection. */
export class LeftBodies {
	readonly #redis: Redis;

	/** @param redis the durable one, for `command` use */
	constructor(redis: Redis) {
		this.#redis = redis;
	}

	/** Whether nobody has looked for them within the hour; whoever is told so does. */
	async claim(): Promise<boolean> {
		return await guarded(this.#redis, LOOKING, async () => (await this.#redis.set(BODIES_SWEPT, 1, "EX", SWEEP_EVERY_S, "NX")) !== null);
	}

	/** Those of these that it is certain nobody needs, as they are found. They are older than an accepting takes: what is about to be accepted has nothing here yet. */
	async *among(held: readonly HeldBody[]): AsyncGenerator<readonly HeldBody[], void> {
		for (let at = 0; at < held.length; at += ASKED_AT_ONCE) {
			const asked = held.slice(at, at + ASKED_AT_ONCE);
			const needed = await guarded(this.#redis, LOOKING, async () => (await NEEDED.run(this.#redis, [], argsOf(asked))) as number[]);
			yield asked.filter((_, which) => needed[which] === 0);
			for (const one of asked.filter((_, which) => needed[which] === 2)) {
				const isNeeded = await guarded(this.#redis, LOOKING, () => NEEDED_ANYWHERE.run(this.#redis, [LANE.known], argsOf([one])));
				yield isNeeded === 0 ? [one] : [];
			}
		}
	}
}

function argsOf(bodies: readonly HeldBody[]): string[] {
	return [BACKGROUND_RECORDS, `${QUEUE_PREFIX}:${functionQueueOf("")}`, ...bodies.flatMap((one) => [one.invocation, one.payload])];
}
