import { guarded, LuaScript, type Redis } from "@berth/redis";
import { FORGET_LARGEST, KEPT, KEPT_DEAD } from "./kept-scripts.js";
import { BACKGROUND_TOTALS } from "./keys.js";
import { Level } from "./level.js";
import { MEASURE, MEMORY_PARTS } from "./memory-script.js";

/** It is looked at when so much was added, however short a time ago that was last done. */
const LOOKED_AFTER = 1 / 100;
/** Records that one run of the script takes away, after how many it looks again, and runs of one look: nobody waits for long. */
const AT_ONCE = 400;
const BEFORE_LOOK = 20;
const MOST_RUNS = 25;

/** KEYS: the lane's totals. ARGV: part for history, part for work. Gives bytes that are taken, as Redis holds them against maxmemory, with those in reserve; that; and how many records went. */
const MAKE_ROOM = new LuaScript(`${FORGET_LARGEST}${MEASURE}
	local taken, max = measure(KEYS[1])
	local went = 0
	for at, set in ipairs({ "${KEPT}", "${KEPT_DEAD}" }) do
		while max > 0 and taken > max * ARGV[at] and went < ${AT_ONCE} do
			local before = went
			while went < before + ${BEFORE_LOOK} and forgetLargest(set) do went = went + 1 end
			if went == before then break end
			taken, max = measure(KEYS[1])
		end
	end
	return { taken, max, went }
`);

const SUMS = new LuaScript(`
	local sums = {}
	for at, set in ipairs({ "${KEPT}", "${KEPT_DEAD}" }) do
		sums[at] = 0
		local entries = redis.call("ZRANGE", set, 0, -1, "WITHSCORES")
		for of = 2, #entries, 2 do sums[at] = sums[at] + tonumber(entries[of]) end
	end
	return sums
`);

/** What the durable Redis holds, bytes. */
export interface MemoryFigures {
	/** What is taken, and in reserve for what isn't settled. */
	readonly takenBytes: number;
	/** Its maxmemory; 0: none. */
	readonly maxBytes: number;
	/** Of settled records, and of dead letters. */
	readonly settledBytes: number;
	readonly deadBytes: number;
}

/** What keeps something new out. */
export interface Full {
	readonly takenBytes: number;
	readonly mostBytes: number;
	readonly retryAfterMs: number;
}

/** The memory of the durable Redis, whatever it holds: read once a second, and when much was added, each time with room made of old settled records where it is wanted. */
export class DurableMemory {
	readonly #redis: Redis;
	readonly #level = new Level(() => this.#makeRoom());
	#maxBytes = 0;

	constructor(redis: Redis) {
		this.#redis = redis;
	}

	/** Why nothing new is to be taken on; undefined when there is room, or no `maxmemory`. */
	async full(): Promise<Full | undefined> {
		await this.#look();
		const mostBytes = this.#maxBytes * MEMORY_PARTS.work;
		if (this.#maxBytes === 0 || this.#level.latest <= mostBytes) return undefined;
		return { takenBytes: this.#level.latest, mostBytes, retryAfterMs: this.#level.retryAfterMs(mostBytes) };
	}

	/** So much is being added. */
	add(bytes: number): void {
		this.#level.add(bytes);
	}

	async figures(): Promise<MemoryFigures> {
		return await guarded(this.#redis, "measuring the durable Redis", async () => {
			const [takenBytes, [settledBytes, deadBytes]] = await Promise.all([
				this.#look(),
				SUMS.run(this.#redis, [KEPT, KEPT_DEAD], []) as Promise<[number, number]>,
			]);
			return { takenBytes, maxBytes: this.#maxBytes, settledBytes, deadBytes };
		});
	}

	#look(): Promise<number> {
		return this.#level.read(this.#maxBytes === 0 ? undefined : this.#maxBytes * LOOKED_AFTER);
	}

	async #makeRoom(): Promise<number> {
		for (let run = 1; ; run++) {
			const parts = [MEMORY_PARTS.history, MEMORY_PARTS.work];
			const [taken, max, went] = (await MAKE_ROOM.run(this.#redis, [BACKGROUND_TOTALS], parts)) as [number, number, number];
			this.#maxBytes = max;
			if (went < AT_ONCE || run === MOST_RUNS) return taken;
		}
	}
}
