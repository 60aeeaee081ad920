import { ATTEMPTS_KEPT } from "@berth/contracts";
import { LuaScript, NOT_AFTER } from "@berth/redis";
import { KEEPING, KEPT, KEPT_DEAD, KNOWN } from "./kept-scripts.js";
import { BACKGROUND_RECORDS, NEWS_PREFIX } from "./keys.js";
import { MEASURE } from "./memory-script.js";
import { FOLLOW_UP } from "./outbox-scripts.js";

/**
 * What moves the record of a background invocation. Each has the record's key first, then the lane's totals.
 * States: queued → running → settled; running → queued when it is tried again, or put off; queued → settled when it is cancelled.
 */

const LIST = `
	local function list(id)
		for at = 3, 4 do
			redis.call("ZADD", KEYS[at], 0, id)
			redis.call("SADD", KEYS[5], KEYS[at])
		end
	end
`;

/** KEYS: record, totals, list of the project, list of the function, names of lists, mark of the version. ARGV: id, head, since when it could be run, mark's expiry ms, record's expiry ms, fields besides, when it is too late. Gives 0 when its id is known. */
export const ACCEPT = new LuaScript(`${NOT_AFTER}${LIST}${KNOWN}
	if redis.call("PTTL", KEYS[6]) < tonumber(ARGV[4]) then redis.call("SET", KEYS[6], ARGV[3], "PX", ARGV[4]) end
	if redis.call("EXISTS", KEYS[1]) == 1 or isKnown(string.match(KEYS[3], "[^:]+$"), ARGV[1]) then return 0 end
	redis.call("HSET", KEYS[1], "head", ARGV[2], "state", "queued", "fence", 0, "queuedAt", ARGV[3], unpack(ARGV, 6, #ARGV - 1))
	redis.call("PEXPIRE", KEYS[1], ARGV[5])
	redis.call("HINCRBY", KEYS[2], "accepted", 1)
	list(ARGV[1])
	return 1
`);

/** What stays of it in lists is passed over, and swept. Gives 0 when it has begun. */
export const WITHDRAW = new LuaScript(`
	local record = redis.call("HMGET", KEYS[1], "state", "fence")
	if not record[1] then return 1 end
	if record[1] ~= "queued" or record[2] ~= "0" then return 0 end
	redis.call("DEL", KEYS[1])
	redis.call("HINCRBY", KEYS[2], "accepted", -1)
	return 1
`);

/** Writes an attempt down, and drops the one that is too many: where memory is scarce, the one before. */
const KEEP = `
	local function keep(attempt, text, isScarce)
		redis.call("HSET", KEYS[1], "attempt:" .. attempt, text)
		redis.call("HINCRBY", KEYS[1], "attempts", 1)
		local gone = tonumber(attempt) - (isScarce and 1 or ${ATTEMPTS_KEPT - 1})
		if gone > 1 or isScarce then redis.call("HDEL", KEYS[1], "attempt:" .. gone) end
	end
`;

/**
 * What a worker that died, or was stopped, had in hand when the next one takes it up: its attempt is over then, and ran at most until now.
 * The text is JSON by hand, since cjson has no empty array.
 */
const LOSE = `${KEEP}
	local function lose(attempt, nowMs)
		local held = redis.call("HMGET", KEYS[1], "node", "beganAt", "startedAt", "queuedAt")
		local beganMs = tonumber(held[2] or held[3] or nowMs)
		local ms = function(from, to) return string.format("%d", math.max(0, to - from)) end
		keep(attempt, '{"attempt":' .. attempt .. ',"outcome":"platform_error","code":"worker_lost","phases":{"queueMs":'
			.. ms(tonumber(held[4] or beganMs), beganMs) .. ',"startMs":0,"initMs":0,"runMs":' .. ms(beganMs, tonumber(nowMs))
			.. '},"limitsHit":[],"error":{"name":"BerthError","message":"Its worker died, or was stopped, while it ran; it may have done something."},"node":'
			.. cjson.encode(held[1] or "") .. ',"finishedAtMs":' .. nowMs .. '}')
	end
`;

/** KEYS: as ACCEPT, without the mark. ARGV: id, head, since when it could be run, attempt, owner, now ms, record's expiry ms, node, fields besides. */
export const BEGIN = new LuaScript(`${LIST}${LOSE}${KNOWN}
	local record = redis.call("HMGET", KEYS[1], "state", "fence", "owner", "queuedAt", "dead", "cancelAskedAt")
	if record[1] == "settled" then return { "settled", record[5] or "0" } end
	if not record[1] then
		if isKnown(string.match(KEYS[3], "[^:]+$"), ARGV[1]) then return { "settled", "0" } end
		redis.call("HSET", KEYS[1], "queuedAt", ARGV[3], unpack(ARGV, 9))
		redis.call("HINCRBY", KEYS[2], "accepted", 1)
		list(ARGV[1])
	end
	local fence, attempt = tonumber(record[2] or "0"), tonumber(ARGV[4])
	if fence > attempt or (fence == attempt and record[3] ~= ARGV[5]) then return { "stale", "0" } end
	if record[1] == "running" and fence < attempt then lose(record[2], ARGV[6]) end
	redis.call("HSET", KEYS[1], "head", ARGV[2], "state", "running", "fence", ARGV[4], "owner", ARGV[5], "beganAt", ARGV[6], "node", ARGV[8])
	redis.call("HSETNX", KEYS[1], "startedAt", ARGV[6])
	redis.call("PEXPIRE", KEYS[1], ARGV[7])
	redis.call("PUBLISH", "${NEWS_PREFIX}" .. ARGV[1], "running")
	return { "begun", record[4] or ARGV[3], record[6] and "1" or "0" }
`);

/**
 * Takes back the beginning of an attempt of which nothing ran: its number is the next one's. KEYS: record. ARGV: id, attempt, owner.
 * Gives 1 when it waits as before; 0 when that isn't its attempt any more, or it was cancelled meanwhile.
 */
export const PUT_OFF = new LuaScript(`
	local record = redis.call("HMGET", KEYS[1], "state", "fence", "owner", "cancelAskedAt")
	if record[3] ~= ARGV[3] then return 0 end
	local before = string.format("%d", tonumber(ARGV[2]) - 1)
	if record[1] == "queued" and record[2] == before then return 1 end
	if record[1] ~= "running" or record[2] ~= ARGV[2] or record[4] then return 0 end
	redis.call("HSET", KEYS[1], "state", "queued", "fence", before)
	redis.call("HDEL", KEYS[1], "beganAt", "node")
	if before == "0" then redis.call("HDEL", KEYS[1], "startedAt") end
	redis.call("PUBLISH", "${NEWS_PREFIX}" .. ARGV[1], "queued")
	return 1
`);

/**
 * KEYS: record, totals, the project's dead letters, names of lists, outbox, its channel.
 * ARGV: id, attempt, state that follows, 1 when it is a dead letter, the attempt with its logs, result or "", request or "",
 * outcome, code or "", finished ms, expiry ms of what waits, of a record, of a dead letter, dead letters kept,
 * bytes of a project's settled records, of its dead letters, the attempt as it is kept where memory is scarce, part of maxmemory from which on it is.
 * Gives 0 when the attempt is stale, 2 when it failed and had been cancelled (it is settled as that), else 1.
 */
export const END = new LuaScript(`${FOLLOW_UP}${KEEPING}${KEEP}${MEASURE}
	local record = redis.call("HMGET", KEYS[1], "state", "fence", "cancelAskedAt")
	if record[2] ~= ARGV[2] then return 0 end
	local state, dead, answer = ARGV[3], ARGV[4], 1
	if record[3] and (state == "queued" or dead == "1") then state, dead, answer = "settled", "0", 2 end
	if record[1] ~= "running" then return record[1] == state and answer or 0 end
	redis.call("HSET", KEYS[1], "state", state, "queuedAt", ARGV[10])
	local isScarce = false
	if state == "queued" then
		redis.call("HSET", KEYS[1], "nextAt", ARGV[19])
		local taken, max = measure(KEYS[2])
		isScarce = max > 0 and taken > max * ARGV[18]
	end
	keep(ARGV[2], isScarce and ARGV[17] or ARGV[5], isScarce)
	if state == "settled" then
		local outcome, code = ARGV[8], ARGV[9]
		if answer == 2 then outcome, code = "cancelled", "cancelled" end
		redis.call("HSET", KEYS[1], "dead", dead, "outcome", outcome, "code", code, "settledAt", ARGV[10])
		for at, field in ipairs({ "result", "request" }) do
			if ARGV[5 + at] ~= "" then redis.call("HSET", KEYS[1], field, ARGV[5 + at]) end
		end
		redis.call("HINCRBY", KEYS[2], dead == "1" and "dead" or "settled", 1)
		redis.call("PEXPIRE", KEYS[1], dead == "1" and ARGV[13] or ARGV[12])
		followUp(KEYS[1], KEYS[5], KEYS[6])
		local project = string.match(KEYS[3], "[^:]+$")
		if dead == "1" then
			redis.call("ZADD", KEYS[3], 0, ARGV[1])
			redis.call("SADD", KEYS[4], KEYS[3])
			while redis.call("ZCARD", KEYS[3]) > tonumber(ARGV[14]) do
				local id = redis.call("ZPOPMIN", KEYS[3])[1]
				local oldest = "${BACKGROUND_RECORDS}" .. id
				-- What is still to be sent of it keeps its record as long as any other's, at least.
				if not isFollowed(project, id) then
					unkeepRecord(oldest)
					dropRecord(oldest, project)
				end
			end
		end
		keepRecord(KEYS[1])
		boundTo("${KEPT}", project, ARGV[15])
		if dead == "1" then boundTo("${KEPT_DEAD}", project, ARGV[16]) end
	else
		redis.call("PEXPIRE", KEYS[1], ARGV[11])
	end
	redis.call("PUBLISH", "${NEWS_PREFIX}" .. ARGV[1], state)
	return answer
`);

/**
 * The id that a dead letter is replayed under: the same one whoever asks, so that it runs once; also when its time among the newest is over.
 * KEYS: record. ARGV: id, the replay's id if it has none. Gives that id, and whether it was replayed; "none" for what is no dead letter.
 */
export const CLAIM_REPLAY = new LuaScript(`
	local record = redis.call("HMGET", KEYS[1], "dead", "replayedAs")
	if record[2] then return { "replayed", record[2] } end
	if record[1] ~= "1" then return { "none", "" } end
	redis.call("HSETNX", KEYS[1], "replayClaim", ARGV[2])
	return { "claimed", redis.call("HGET", KEYS[1], "replayClaim") }
`);

/** A dead letter whose replay was accepted: its record is kept as any other. KEYS: record, the project's dead letters. ARGV: id, record's expiry ms. */
export const REPLAYED = new LuaScript(`${KEEPING}
	local as = redis.call("HGET", KEYS[1], "replayClaim")
	redis.call("ZREM", KEYS[2], ARGV[1])
	if not as or redis.call("HEXISTS", KEYS[1], "replayedAs") == 1 then return end
	unkeepRecord(KEYS[1])
	redis.call("HSET", KEYS[1], "replayedAs", as)
	redis.call("PEXPIRE", KEYS[1], ARGV[2])
	keepRecord(KEYS[1])
`);

/** KEYS: as REPLAYED. ARGV: id. Gives 1 when it was a dead letter; its record is gone then. */
export const PURGE = new LuaScript(`${KEEPING}
	if redis.call("ZREM", KEYS[2], ARGV[1]) == 0 then return 0 end
	unkeepRecord(KEYS[1])
	dropRecord(KEYS[1], string.match(KEYS[2], "[^:]+$"))
	return 1
`);

/**
 * What waits is settled at once; what runs is marked, so that it isn't tried again.
 * Until its job is gone the record is kept as one of what waits: a worker that finds the job must find it settled.
 * KEYS: record, totals, outbox, its channel. ARGV: id, now ms.
 * Gives the state it was found in; "none" without a record.
 */
export const CANCEL = new LuaScript(`${FOLLOW_UP}
	local state = redis.call("HGET", KEYS[1], "state")
	if not state then return "none" end
	if state == "settled" then return state end
	redis.call("HSETNX", KEYS[1], "cancelAskedAt", ARGV[2])
	if state == "queued" then
		redis.call("HSET", KEYS[1], "state", "settled", "dead", 0, "outcome", "cancelled", "code", "cancelled", "settledAt", ARGV[2])
		redis.call("HINCRBY", KEYS[2], "settled", 1)
		followUp(KEYS[1], KEYS[3], KEYS[4])
	end
	redis.call("PUBLISH", "${NEWS_PREFIX}" .. ARGV[1], "cancelled")
	return state
`);

/** The job of one that was cancelled is gone: its record is kept as any other. KEYS: record. ARGV: record's expiry ms. */
export const JOB_GONE = new LuaScript(`${KEEPING}
	if redis.call("HGET", KEYS[1], "outcome") ~= "cancelled" or redis.call("PTTL", KEYS[1]) <= tonumber(ARGV[1]) then return end
	unkeepRecord(KEYS[1])
	redis.call("PEXPIRE", KEYS[1], ARGV[1])
	keepRecord(KEYS[1])
`);

/** KEYS: record. ARGV: the request of one that was settled without a worker. */
export const KEEP_REQUEST = new LuaScript(`${KEEPING}
	if redis.call("EXISTS", KEYS[1]) == 0 then return end
	unkeepRecord(KEYS[1])
	redis.call("HSET", KEYS[1], "request", ARGV[1])
	keepRecord(KEYS[1])
`);
