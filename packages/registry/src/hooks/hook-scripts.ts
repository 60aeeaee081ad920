import { HOOK_LIMITS } from "@berth/contracts";
import { LuaScript } from "@berth/redis";

/** KEYS function, hooks, hook. ARGV name, id, config, secrets. Gives `made`, `no_function`, `exists` or `full`. */
export const MAKE_HOOK = new LuaScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 'no_function' end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 'exists' end
if redis.call('HLEN', KEYS[2]) >= ${HOOK_LIMITS.hooks} then return 'full' end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[3], 'config', ARGV[3], 'secrets', ARGV[4])
return 'made'`);

/** KEYS hook. ARGV field, what it has to be, what it becomes. Gives 0 when it is another one meanwhile, or gone. */
export const CHANGE_HOOK = new LuaScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
return 1`);

/** KEYS hooks, hook, log, runs, idle, channel. ARGV name, id. Gives 0 when there was none. */
export const REMOVE_HOOK = new LuaScript(`
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then return 0 end
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('DEL', KEYS[2], KEYS[3], KEYS[4], KEYS[5])
redis.call('PUBLISH', KEYS[6], ARGV[2])
return 1`);

/**
 * The log of a hook is KEYS[2] (hash), KEYS[3] (events that ran) and KEYS[4] (those that didn't), and it lasts as long as its
 * youngest event may. Its revisions are counted in KEYS[1], the hook, and go on when it is gone: who follows goes by them.
 * \`forget\` collects the keys of bodies that nothing leads to any more.
 */
const LOG = `
local log = KEYS[2]
local bodies = {}
local function forget(order, id)
  local bytes, body = string.match(redis.call('HGET', log, id .. ':size') or '0 ', '^(%d+) (.*)$')
  redis.call('HINCRBY', log, '#bytes', -tonumber(bytes))
  redis.call('HDEL', log, id, id .. ':size', id .. ':at')
  redis.call('ZREM', order, id)
  if body ~= '' then bodies[#bodies + 1] = body end
end
local function write(order, id, json, bytes, body)
  local revision = redis.call('HINCRBY', KEYS[1], 'revision', 1)
  local before = tonumber(string.match(redis.call('HGET', log, id .. ':size') or '0 ', '^(%d+)'))
  redis.call('HSET', log, id, json, id .. ':size', bytes .. ' ' .. body)
  redis.call('HINCRBY', log, '#bytes', tonumber(bytes) - before)
  redis.call('ZADD', order, revision, id)
end
local function trim(order, most, mostBytes, oldest)
  while true do
    local id = redis.call('ZRANGE', order, 0, 0)[1]
    if not id then return end
    local old = tonumber(string.match(redis.call('HGET', log, id .. ':at') or '0', '^%d+')) < oldest
    if not old and redis.call('ZCARD', order) <= most and tonumber(redis.call('HGET', log, '#bytes') or '0') <= mostBytes then return end
    forget(order, id)
  end
end
local function last(retention)
  for at = 2, 4 do redis.call('PEXPIRE', KEYS[at], retention) end
end`;

/**
 * KEYS hook, log, runs, idle, channel, then what tells the delivery. ARGV event, JSON, bytes, key of the body, now, retention,
 * how long the claim lasts, `runs` or `idle`, whether it is over. Gives `gone`; `running` or `done` with the event that had it
 * first and the answer; or `begun` and the keys of bodies that nothing leads to any more.
 */
export const RECORD_EVENT = new LuaScript(`${LOG}
if redis.call('EXISTS', KEYS[1]) == 0 then return {'gone'} end
for at = 6, #KEYS do
  local claim = redis.call('HMGET', KEYS[at], 'state', 'event', 'answer')
  if claim[1] then return {claim[1], claim[2], claim[3] or ''} end
end
for at = 6, #KEYS do
  redis.call('HSET', KEYS[at], 'state', 'running', 'event', ARGV[1])
  redis.call('PEXPIRE', KEYS[at], ARGV[7])
end
local order = ARGV[8] == 'runs' and KEYS[3] or KEYS[4]
write(order, ARGV[1], ARGV[2], ARGV[3], ARGV[4])
redis.call('HSET', log, ARGV[1] .. ':at', ARGV[5])
local oldest = tonumber(ARGV[5]) - tonumber(ARGV[6])
trim(KEYS[4], ${HOOK_LIMITS.idleEvents}, math.huge, oldest)
trim(KEYS[3], ${HOOK_LIMITS.events}, ${HOOK_LIMITS.eventBytes}, oldest)
last(ARGV[6])
if ARGV[9] == '1' then redis.call('PUBLISH', KEYS[5], string.match(KEYS[1], '[^:]+$')) end
return {'begun', unpack(bodies)}`);

/**
 * KEYS hook, log, runs, idle, channel, then what tells the delivery. ARGV event, JSON, bytes, key of the body, the answer for
 * duplicates (empty: there is none, and the next one is run), how long that is remembered. A claim that is another event's stays.
 */
export const END_EVENT = new LuaScript(`${LOG}
for at = 6, #KEYS do
  if redis.call('HGET', KEYS[at], 'event') == ARGV[1] then
    if ARGV[5] == '' then redis.call('DEL', KEYS[at])
    else
      redis.call('HSET', KEYS[at], 'state', 'done', 'answer', ARGV[5])
      redis.call('PEXPIRE', KEYS[at], ARGV[6])
    end
  end
end
if redis.call('HEXISTS', log, ARGV[1]) == 0 then return 0 end
write(KEYS[3], ARGV[1], ARGV[2], ARGV[3], ARGV[4])
redis.call('PUBLISH', KEYS[5], string.match(KEYS[1], '[^:]+$'))
return 1`);

/** KEYS log. ARGV event, JSON. Writes what is no news: the event keeps its place. */
export const ANNOTATE_EVENT = new LuaScript(`
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) end`);

/** KEYS log, runs, idle. ARGV the revision to end before, or after which to begin, the most, `newest` or `oldest` first. Gives revision, JSON, … of events, merged. */
export const LIST_EVENTS = new LuaScript(`
local newest = ARGV[3] == 'newest'
local found = {}
for at = 2, 3 do
  local part
  if newest then part = redis.call('ZREVRANGEBYSCORE', KEYS[at], '(' .. ARGV[1], '-inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2])
  else part = redis.call('ZRANGEBYSCORE', KEYS[at], '(' .. ARGV[1], '+inf', 'WITHSCORES', 'LIMIT', 0, ARGV[2]) end
  for i = 1, #part, 2 do found[#found + 1] = {part[i], tonumber(part[i + 1])} end
end
table.sort(found, function(a, b) if newest then return a[2] > b[2] end return a[2] < b[2] end)
local answer = {}
for i = 1, math.min(#found, tonumber(ARGV[2])) do
  local json = redis.call('HGET', KEYS[1], found[i][1])
  if json then answer[#answer + 1] = found[i][2]; answer[#answer + 1] = json end
end
return answer`);

/** KEYS log, runs, idle. ARGV event. Gives nothing, or revision and JSON. */
export const FIND_EVENT = new LuaScript(`
local json = redis.call('HGET', KEYS[1], ARGV[1])
if not json then return {} end
local revision = redis.call('ZSCORE', KEYS[2], ARGV[1]) or redis.call('ZSCORE', KEYS[3], ARGV[1])
return {revision, json}`);

/**
 * KEYS a hook's count of a period, then what tells the delivery. ARGV how many, the period. Gives `running` or `done` as RECORD_EVENT does,
 * which take nothing of the rate; `admitted`; or `limited` and how long it is until there is room, milliseconds.
 */
export const ADMIT = new LuaScript(`
for at = 2, #KEYS do
  local claim = redis.call('HMGET', KEYS[at], 'state', 'event', 'answer')
  if claim[1] then return {claim[1], claim[2], claim[3] or ''} end
end
if tonumber(redis.call('GET', KEYS[1]) or '0') >= tonumber(ARGV[1]) then return {'limited', math.max(1, redis.call('PTTL', KEYS[1]))} end
if redis.call('INCR', KEYS[1]) == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[2]) end
return {'admitted'}`);

/** KEYS a hook's count of a period. Takes one back: it wasn't run. */
export const READMIT = new LuaScript(`
if tonumber(redis.call('GET', KEYS[1]) or '0') > 0 then redis.call('DECR', KEYS[1]) end`);
