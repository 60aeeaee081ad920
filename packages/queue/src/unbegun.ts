import { HOUR_MS } from "@berth/contracts";
import { LuaScript, type Redis, startOf } from "@berth/redis";
import { unbegunOf } from "./keys.js";

/** Longer than anything interactive may take from when it was accepted, milliseconds. */
const KEPT_MS = HOUR_MS;

/** A mark that is anybody's says since which start of the server: one that was started again, or took over, may have lost who took it. */
const FREE = `
	local run = string.match(redis.call("INFO", "server"), "run_id:(%w+)")
	local function isFree(owner) return owner and string.sub(owner, 1, 5) == "free:" end
`;

/**
 * KEYS: marks of a job. ARGV: kept ms, who says so, which start of the server that was said to, ids. One that somebody else has taken stays that one's.
 * What is sent again to a server that was started again meanwhile does nothing: somebody else may have taken it before, and that be lost.
 */
const MARK = new LuaScript(`${FREE}
	if ARGV[3] ~= "" and ARGV[3] ~= run then return end
	for at = 4, #ARGV do
		local owner = redis.call("HGET", KEYS[1], ARGV[at])
		if not owner or owner == ARGV[2] or isFree(owner) then redis.call("HSET", KEYS[1], ARGV[at], "free:" .. run) end
	end
	redis.call("PEXPIRE", KEYS[1], ARGV[1])
`);

/**
 * KEYS: marks of a job. ARGV: taker, 1 when marks of an earlier start of the server don't count, which start this was said to or an empty string, ids. Gives whose
 * each is then; an empty string for what may have begun. What is sent again to another start of the server is refused: who asks may have handed back what it is of.
 */
const TAKE = new LuaScript(`${FREE}
	if ARGV[3] ~= "" and ARGV[3] ~= run then return redis.error_reply("RESTARTED since this was asked") end
	local owners = {}
	for at = 4, #ARGV do
		local owner = redis.call("HGET", KEYS[1], ARGV[at]) or ""
		if isFree(owner) then
			if ARGV[2] == "1" and owner ~= "free:" .. run then
				owner = ""
			else
				redis.call("HSET", KEYS[1], ARGV[at], ARGV[1])
				owner = ARGV[1]
			end
		end
		owners[#owners + 1] = owner
	end
	return owners
`);

/**
 * Marks on the fast Redis of interactive invocations that a worker has taken and not begun. Whoever takes the mark, and nobody else, may begin
 * it, or place it again. What a worker has taken and isn't marked may have begun. All of it may be asked again: who has taken a mark has it.
 */
export class Unbegun {
	readonly #redis: Redis;

	constructor(redis: Redis) {
		this.#redis = redis;
	}

	/** These of a job haven't begun, as of now. @param holder who says so; what it had taken before is anybody's again */
	async mark(job: string, ids: readonly string[], holder: string): Promise<void> {
		await MARK.run(this.#redis, [unbegunOf(job)], [KEPT_MS, holder, startOf(this.#redis) ?? "", ...ids]);
	}

	/**
	 * Takes what of a job is anybody's.
	 * @param of whose job it was: its holder, whose lock says that nobody else has been asked to take it, or will be told of it before its taker uses it; or another one, to whom what a server's restart may have undone doesn't count
	 * @returns whose each is now: the taker's, or somebody else's; undefined for what may have begun
	 * @throws Error for its holder, too, when the server was started again before it was asked
	 */
	async take(job: string, ids: readonly string[], taker: string, of: "holder" | "other"): Promise<(string | undefined)[]> {
		const how = of === "other" ? [1, ""] : [0, startOf(this.#redis) ?? ""];
		const owners = (await TAKE.run(this.#redis, [unbegunOf(job)], [taker, ...how, ...ids])) as string[];
		return owners.map((owner) => (owner === "" ? undefined : owner));
	}

	/** Nobody will ask for them. */
	async forget(job: string): Promise<void> {
		await this.#redis.unlink(unbegunOf(job));
	}
}
