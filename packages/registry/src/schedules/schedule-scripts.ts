import { SCHEDULE_LIMITS } from "@berth/contracts";
import { LuaScript } from "@berth/redis";

/** Where a schedule stands among those that are due; nowhere without a time. */
const PLACE = `
local function place(due, at)
  if at == '' then redis.call('ZREM', due, ARGV[1]) else redis.call('ZADD', due, at, ARGV[1]) end
end`;

/** KEYS function, schedules, schedule, due. ARGV id, name, config, due, when it fires. Gives `made`, `no_function`, `exists` or `full`. */
export const MAKE_SCHEDULE = new LuaScript(`${PLACE}
if redis.call('EXISTS', KEYS[1]) == 0 then return 'no_function' end
if redis.call('HEXISTS', KEYS[2], ARGV[2]) == 1 then return 'exists' end
if redis.call('HLEN', KEYS[2]) >= ${SCHEDULE_LIMITS.schedules} then return 'full' end
redis.call('HSET', KEYS[2], ARGV[2], ARGV[1])
redis.call('HSET', KEYS[3], 'config', ARGV[3], 'due', ARGV[4])
place(KEYS[4], ARGV[5])
return 'made'`);

/** KEYS schedule, due. ARGV id, config as it has to be, config, due, when it fires, due as it has to be. Gives 0 when it is another one meanwhile, has fired, or is gone. */
export const CHANGE_SCHEDULE = new LuaScript(`${PLACE}
local found = redis.call('HMGET', KEYS[1], 'config', 'due')
if found[1] ~= ARGV[2] or found[2] ~= ARGV[6] then return 0 end
redis.call('HSET', KEYS[1], 'config', ARGV[3], 'due', ARGV[4])
place(KEYS[2], ARGV[5])
return 1`);

/** KEYS schedules, schedule, claims, runs, due, open. ARGV id, name. Gives 0 when there was none. */
export const REMOVE_SCHEDULE = new LuaScript(`
if redis.call('HGET', KEYS[1], ARGV[2]) ~= ARGV[1] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[2])
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4])
redis.call('ZREM', KEYS[5], ARGV[1])
redis.call('ZREM', KEYS[6], ARGV[1])
return 1`);

/**
 * KEYS due, open. ARGV the time (empty: the server's own), the most. Gives the time, when the next is due or open (empty: there
 * is none), how many of the following are due, and the ids: those that are due, then those with claims that nobody works at.
 */
export const LOOK = new LuaScript(`
local now = tonumber(ARGV[1])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local due = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now, 'LIMIT', 0, ARGV[2])
local open = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now, 'LIMIT', 0, ARGV[2])
local next = ''
for at = 1, 2 do
  local score = redis.call('ZRANGEBYSCORE', KEYS[at], '(' .. string.format('%.0f', now), '+inf', 'WITHSCORES', 'LIMIT', 0, 1)[2]
  if score and (next == '' or tonumber(score) < tonumber(next)) then next = score end
end
local ids = {string.format('%.0f', now), next, #due}
for _, id in ipairs(due) do ids[#ids + 1] = id end
for _, id in ipairs(open) do ids[#ids + 1] = id end
return ids`);

/** What is on record in runs, the newest first. */
const NOTE = `
local function note(runs, run)
  redis.call('LPUSH', runs, run)
  redis.call('LTRIM', runs, 0, ${SCHEDULE_LIMITS.runs - 1})
end`;

/**
 * The one place where a time becomes firings. KEYS schedule, claims, runs, due, open. ARGV id, due as it has to be, config as it
 * has to be, due next, when that fires, now, how many were missed as JSON (or empty), then claims as JSON. Gives -1 when somebody
 * else was first, else how many claims there was no room for.
 */
export const CLAIM = new LuaScript(`${PLACE}${NOTE}
local found = redis.call('HMGET', KEYS[1], 'due', 'config')
if found[1] ~= ARGV[2] or found[2] ~= ARGV[3] then return -1 end
redis.call('HSET', KEYS[1], 'due', ARGV[4])
place(KEYS[4], ARGV[5])
if ARGV[7] ~= '' then note(KEYS[3], ARGV[7]) end
local room = ${SCHEDULE_LIMITS.waiting} - redis.call('LLEN', KEYS[2])
local dropped = 0
for at = 8, #ARGV do
  if room > 0 then
    redis.call('RPUSH', KEYS[2], ARGV[at])
    room = room - 1
  else dropped = dropped + 1 end
end
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('ZADD', KEYS[5], 'NX', ARGV[6], ARGV[1]) end
return dropped`);

/** KEYS schedule, claims, open. ARGV id, now, until when, who. Gives config, last invocation and claims to the one who may work at them until then; nothing to others. */
export const TAKE = new LuaScript(`
local at = redis.call('ZSCORE', KEYS[3], ARGV[1])
if not at or tonumber(at) > tonumber(ARGV[2]) then return {} end
local found = redis.call('HMGET', KEYS[1], 'config', 'last')
if not found[1] then
  redis.call('ZREM', KEYS[3], ARGV[1])
  return {}
end
redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1])
redis.call('HSET', KEYS[1], 'holder', ARGV[4])
local claims = redis.call('LRANGE', KEYS[2], 0, -1)
return {found[1], found[2] or '', unpack(claims)}`);

/** KEYS schedule, claims, runs. ARGV who, claim, run, its invocation (empty: it became none). Gives 0 to one who doesn't hold it any more. */
export const END_CLAIM = new LuaScript(`${NOTE}
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[1] or redis.call('LINDEX', KEYS[2], 0) ~= ARGV[2] then return 0 end
redis.call('LPOP', KEYS[2])
if ARGV[4] ~= '' then redis.call('HSET', KEYS[1], 'last', ARGV[4]) end
note(KEYS[3], ARGV[3])
return 1`);

/** KEYS schedule, claims, open. ARGV id, who, when somebody may take it again, should there be claims. */
export const LET_GO = new LuaScript(`
if redis.call('HGET', KEYS[1], 'holder') ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], 'holder')
if redis.call('EXISTS', KEYS[2]) == 1 then redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1]) else redis.call('ZREM', KEYS[3], ARGV[1]) end
return 1`);

/** KEYS schedule, runs. ARGV run. */
export const NOTE_RUN = new LuaScript(`${NOTE}
if redis.call('EXISTS', KEYS[1]) == 1 then note(KEYS[2], ARGV[1]) end
return 1`);
