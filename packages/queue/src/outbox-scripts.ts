import { LuaScript } from "@berth/redis";
import { KEEPING } from "./kept-scripts.js";

/** A record that something is still to be said in stays so long beyond that. Milliseconds. */
const KEPT_MS = 3_600_000;

/**
 * Of each kind there is a sorted set for each project, of ids by when they are due; and one of projects, by when the first of theirs is.
 * So what one project has in any number is in no other's way.
 */
const PLACE = `
	local time = redis.call("TIME")
	local now = time[1] * 1000 + math.floor(time[2] / 1000)
	local function place(kind, project)
		local first = redis.call("ZRANGE", kind .. ":" .. project, 0, 0, "WITHSCORES")
		if first[2] then redis.call("ZADD", kind, first[2], project) else redis.call("ZREM", kind, project) end
	end
	local function put(kind, project, due, id)
		redis.call("ZADD", kind .. ":" .. project, due, id)
		place(kind, project)
	end
	local function outlive(record, least)
		if redis.call("PTTL", record) < least then redis.call("PEXPIRE", record, least) end
	end
`;

/**
 * Lua: puts what follows a settlement into the outbox, for whatever script settles one, so that neither is without the other.
 * Where a record says that something follows, it has a field of that kind.
 */
export const FOLLOW_UP = `${PLACE}
	local function followUp(record, outbox, news)
		local id, follows = string.match(record, "[^:]+$"), false
		for _, kind in ipairs({ "callback", "follower" }) do
			if redis.call("HEXISTS", record, kind) == 1 then
				put(outbox .. ":" .. kind, cjson.decode(redis.call("HGET", record, "head")).project, now, id)
				follows = true
			end
		end
		if follows then redis.call("PUBLISH", news, id) end
	end
`;

/**
 * Takes what is due of a kind: of one project never more than is left for all others then. What is due and not taken is so because something
 * is held that leaves a place when it ends. The half of a millisecond tells what is held from what only isn't due yet.
 * KEYS: the kind's projects. ARGV: places, lease ms, then projects, each with how many places it has.
 * Gives what was taken (project, id, lease), and when the next becomes due, ms.
 */
export const CLAIM = new LuaScript(`${PLACE}
	local left, has, taken = tonumber(ARGV[1]), {}, {}
	for at = 3, #ARGV, 2 do has[ARGV[at]] = tonumber(ARGV[at + 1]) end
	for _, project in ipairs(redis.call("ZRANGEBYSCORE", KEYS[1], "-inf", now, "LIMIT", 0, left + (#ARGV - 2) / 2)) do
		local most = math.ceil((left - (has[project] or 0)) / 2)
		if most > 0 then
			local own = KEYS[1] .. ":" .. project
			for _, id in ipairs(redis.call("ZRANGEBYSCORE", own, "-inf", now, "LIMIT", 0, most)) do
				redis.call("ZADD", own, now + ARGV[2] + 0.5, id)
				taken[#taken + 1] = { project, id, tostring(now + ARGV[2] + 0.5) }
				left = left - 1
			end
			place(KEYS[1], project)
		end
	end
	local first = redis.call("ZRANGEBYSCORE", KEYS[1], "(" .. now, "+inf", "WITHSCORES", "LIMIT", 0, 1)
	return { taken, first[2] and tostring(first[2] - now) or "" }
`);

/** Those that follow have KEYS: the kind's projects, the project's own, the record. ARGV: project, id, lease. Give 1 while that is good. */
const HELD = `${PLACE}
	if redis.call("ZSCORE", KEYS[2], ARGV[2]) ~= ARGV[3] then return 0 end
`;

/** ARGV besides: kind, state, ms until it is due again, or `held`, or "" when it is over. */
export const NOTE = new LuaScript(`${KEEPING}${HELD}
	if redis.call("EXISTS", KEYS[3]) == 1 then redis.call("HSET", KEYS[3], ARGV[4], ARGV[5]) end
	if ARGV[6] == "" then
		redis.call("ZREM", KEYS[2], ARGV[2])
		place(KEYS[1], ARGV[1])
		keepRecord(KEYS[3])
	elseif ARGV[6] ~= "held" then
		put(KEYS[1], ARGV[1], now + ARGV[6], ARGV[2])
		outlive(KEYS[3], ARGV[6] + ${KEPT_MS})
	end
	return 1
`);

/** ARGV besides: ms. */
export const POSTPONE = new LuaScript(`${HELD}
	put(KEYS[1], ARGV[1], now + ARGV[4], ARGV[2])
	outlive(KEYS[3], ARGV[4] + ${KEPT_MS})
	return 1
`);

export const FORGET = new LuaScript(`${HELD}
	redis.call("ZREM", KEYS[2], ARGV[2])
	place(KEYS[1], ARGV[1])
	return 1
`);

/** KEYS: as those. ARGV: project, id, channel. What is held is sent anyway; the record stays until it is over. Gives 0 when it isn't settled. */
export const AGAIN = new LuaScript(`${KEEPING}${PLACE}
	local due = redis.call("ZSCORE", KEYS[2], ARGV[2])
	if redis.call("HGET", KEYS[3], "state") ~= "settled" then return 0 end
	unkeepRecord(KEYS[3])
	outlive(KEYS[3], ${KEPT_MS})
	if not due or due % 1 == 0 then put(KEYS[1], ARGV[1], now, ARGV[2]) end
	redis.call("PUBLISH", ARGV[3], ARGV[2])
	return 1
`);

/** KEYS: each kind's projects. */
export const SIZE = new LuaScript(`
	local size = 0
	for _, kind in ipairs(KEYS) do
		for _, project in ipairs(redis.call("ZRANGE", kind, 0, -1)) do size = size + redis.call("ZCARD", kind .. ":" .. project) end
	end
	return size
`);
