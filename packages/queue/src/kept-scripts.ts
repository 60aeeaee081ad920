import { DAY_MS } from "@berth/contracts";
import { BACKGROUND_RECORDS, DEAD_LETTERS, functionQueueOf, KNOWN_IDS, LIST_PREFIX, OUTBOX, QUEUE_PREFIX } from "./keys.js";

/** Bytes that a record takes beside itself: its places in lists, and among what is kept. */
const PLACES_BYTES = 512;
/** Old ones that make room for one that is new: so many at most, so that no script takes long. */
const FOR_ONE = 8;
/** An id whose record went is known for so long, as a dead letter may be replayed and a key may be kept; of a project the newest so many, at 0.1 KiB each. */
const KNOWN_MS = 7 * DAY_MS;
const KNOWN_COUNT = 100_000;
/** Oldest ones of a project that are looked at for one whose job is gone. */
const LOOKED_AT = 16;

/**
 * Durable Redis: settled records that nothing more is to come of, and dead letters; of each kind a sorted set of projects by how many bytes theirs
 * take, and for each project one of "id bytes", by when it expires, ms: with the bytes, since one that has expired can't be asked.
 */
export const KEPT = "berth:bg-kept";
export const KEPT_DEAD = "berth:bg-kept-dead";

/** Lua: whether an id is of an invocation that was settled, and whose record went. */
export const KNOWN = `
	local function isKnown(project, id) return redis.call("ZSCORE", "${KNOWN_IDS}" .. project, id) end
`;

/** Lua: keeps count of what settled records take, and takes the oldest away. */
export const KEEPING = `
	local function nowMs()
		local time = redis.call("TIME")
		return time[1] * 1000 + math.floor(time[2] / 1000)
	end
	local function uncount(set, project, id, bytes)
		if redis.call("ZREM", set .. ":" .. project, id .. " " .. bytes) == 0 then return end
		if tonumber(redis.call("ZINCRBY", set, -bytes, project)) <= 0 then redis.call("ZREM", set, project) end
	end
	-- What is about to change, or to go.
	local function unkeepRecord(record)
		local found = redis.call("HMGET", record, "head", "kept", "dead", "replayedAs")
		if not found[2] then return end
		local set = found[3] == "1" and not found[4] and "${KEPT_DEAD}" or "${KEPT}"
		uncount(set, cjson.decode(found[1]).project, string.match(record, "[^:]+$"), found[2])
		redis.call("HDEL", record, "kept")
	end
	-- Whether something is still to be sent of it.
	local function isFollowed(project, id)
		for _, kind in ipairs({ "callback", "follower" }) do
			if redis.call("ZSCORE", "${OUTBOX}:" .. kind .. ":" .. project, id) then return true end
		end
		return false
	end
	local function remember(project, id)
		local known, now = "${KNOWN_IDS}" .. project, nowMs()
		redis.call("ZREMRANGEBYSCORE", known, "-inf", now)
		redis.call("ZADD", known, now + ${KNOWN_MS}, id)
		redis.call("ZREMRANGEBYRANK", known, 0, ${-KNOWN_COUNT - 1})
		redis.call("PEXPIRE", known, ${KNOWN_MS})
	end
	-- What may be asked for again under its id is remembered, so that it doesn't run again.
	local function dropRecord(record, project)
		local again = redis.call("HEXISTS", record, "again") == 1
		redis.call("DEL", record)
		if again then remember(project, string.match(record, "[^:]+$")) end
	end
	-- Counts a record from when nothing more is to come of it on: it is settled, and what follows is sent.
	local function keepRecord(record)
		local found = redis.call("HMGET", record, "head", "state", "dead", "replayedAs", "kept", "again")
		if found[2] ~= "settled" or found[5] then return end
		local project, id = cjson.decode(found[1]).project, string.match(record, "[^:]+$")
		if isFollowed(project, id) then return end
		local set, leftMs = found[3] == "1" and not found[4] and "${KEPT_DEAD}" or "${KEPT}", redis.call("PTTL", record)
		-- It expires before whoever may ask again has forgotten it.
		if found[6] and leftMs < ${KNOWN_MS} then remember(project, id) end
		local bytes = redis.call("MEMORY", "USAGE", record, "SAMPLES", 0) + ${PLACES_BYTES}
		redis.call("HSET", record, "kept", bytes)
		redis.call("ZADD", set .. ":" .. project, nowMs() + leftMs, id .. " " .. bytes)
		redis.call("ZINCRBY", set, bytes, project)
	end
	-- Takes away the oldest of a project that expires until then; false when there is none. One whose job a worker that died has left stays, since that must find it settled.
	local function forgetOldest(set, project, untilMs)
		for _, entry in ipairs(redis.call("ZRANGEBYSCORE", set .. ":" .. project, "-inf", untilMs, "LIMIT", 0, ${LOOKED_AT})) do
			local id, bytes = string.match(entry, "^(%S+) (%d+)$")
			local record = "${BACKGROUND_RECORDS}" .. id
			local head = redis.call("HGET", record, "head")
			local key = head and project .. "/" .. cjson.decode(head)["function"]
			if not key or redis.call("EXISTS", "${QUEUE_PREFIX}:${functionQueueOf("")}" .. key .. ":" .. id) == 0 then
				uncount(set, project, id, bytes)
				dropRecord(record, project)
				redis.call("ZREM", "${LIST_PREFIX}" .. project, id)
				if key then redis.call("ZREM", "${LIST_PREFIX}" .. key, id) end
				redis.call("ZREM", "${DEAD_LETTERS}" .. project, id)
				return true
			end
		end
		return false
	end
	local function boundTo(set, project, most)
		local now = nowMs()
		for _ = 1, ${FOR_ONE} do
			local bytes = tonumber(redis.call("ZSCORE", set, project) or 0)
			if not forgetOldest(set, project, bytes > tonumber(most) and "+inf" or now) then return end
		end
	end
`;

/** Lua: of a kind takes one away that is among the oldest of the project that has most; of the next one, where all jobs are still there. */
export const FORGET_LARGEST = `${KEEPING}
	local function forgetLargest(set)
		for _, project in ipairs(redis.call("ZREVRANGE", set, 0, 99)) do
			if forgetOldest(set, project, "+inf") then return true end
		end
		return false
	end
`;
