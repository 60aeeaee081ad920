import { LuaScript } from "@berth/redis";
import { MAILBOX_PREFIX, RECORDS } from "./keys.js";

/**
 * The fenced settlement of interactive invocations, many in one go. For each: if neither family of
 * buckets has a record of it, write one and take its reply into the message of its channel. Then one
 * PUBLISH per channel; a message nobody hears is put into the channel's mailbox. Then the budget:
 * the oldest buckets of a family go until it is met.
 *
 * KEYS: sizes of the success family, sizes of the other family.
 * ARGV: success expiry ms, other expiry ms, success budget, other budget, mail count, mail seconds,
 * number of channels, the channels; then seven per settlement: id, 1 for a success, success bucket,
 * other bucket, record, channel (from 1), reply.
 * Gives 1 or 0 per settlement: whether it was the first.
 */
export const SETTLE = new LuaScript(`
local SUCCESS, OTHER = "${RECORDS.success.buckets}", "${RECORDS.other.buckets}"
local OVERHEAD = 96
local channels = tonumber(ARGV[7])
local replies, won = {}, {}
local written = { [1] = {}, [2] = {} }

for at = 8 + channels, #ARGV, 7 do
	local id, family, bucket, elsewhere = ARGV[at], 1, ARGV[at + 2], OTHER .. ARGV[at + 3]
	local prefix = SUCCESS
	if ARGV[at + 1] ~= "1" then
		family, bucket, elsewhere, prefix = 2, ARGV[at + 3], SUCCESS .. ARGV[at + 2], OTHER
	end
	local record = ARGV[at + 4]
	if redis.call("HEXISTS", elsewhere, id) == 0 and redis.call("HSETNX", prefix .. bucket, id, record) == 1 then
		written[family][bucket] = (written[family][bucket] or 0) + #record + OVERHEAD
		local channel = tonumber(ARGV[at + 5])
		local parts = replies[channel]
		if not parts then
			parts = {}
			replies[channel] = parts
		end
		parts[#parts + 1] = ARGV[at + 6]
		won[#won + 1] = 1
	else
		won[#won + 1] = 0
	end
end

for channel, parts in pairs(replies) do
	local name = ARGV[7 + channel]
	local message = "[" .. table.concat(parts, ",") .. "]"
	if redis.call("PUBLISH", name, message) == 0 then
		local mailbox = "${MAILBOX_PREFIX}" .. name
		redis.call("RPUSH", mailbox, message)
		redis.call("LTRIM", mailbox, -tonumber(ARGV[5]), -1)
		redis.call("EXPIRE", mailbox, ARGV[6])
	end
end

local function forget(sizes, bucket)
	redis.call("HINCRBY", sizes, "total", -tonumber(redis.call("HGET", sizes, bucket) or 0))
	redis.call("HDEL", sizes, bucket)
end

local function bucketsOf(sizes)
	local found = {}
	for _, name in ipairs(redis.call("HKEYS", sizes)) do
		if name ~= "total" then found[#found + 1] = name end
	end
	return found
end

for family, buckets in ipairs(written) do
	local sizes, prefix = KEYS[family], family == 1 and SUCCESS or OTHER
	local total = 0
	for bucket, bytes in pairs(buckets) do
		redis.call("HINCRBY", sizes, bucket, bytes)
		total = redis.call("HINCRBY", sizes, "total", bytes)
		if redis.call("PTTL", prefix .. bucket) == -1 then
			redis.call("PEXPIRE", prefix .. bucket, ARGV[family])
			for _, old in ipairs(bucketsOf(sizes)) do
				if redis.call("EXISTS", prefix .. old) == 0 then forget(sizes, old) end
			end
			total = tonumber(redis.call("HGET", sizes, "total"))
		end
	end
	if total > tonumber(ARGV[2 + family]) then
		local all = bucketsOf(sizes)
		table.sort(all, function(a, b) return tonumber(a) < tonumber(b) end)
		for _, oldest in ipairs(all) do
			if total <= tonumber(ARGV[2 + family]) then break end
			redis.call("UNLINK", prefix .. oldest)
			forget(sizes, oldest)
			total = tonumber(redis.call("HGET", sizes, "total"))
		end
	end
end
return won
`);
