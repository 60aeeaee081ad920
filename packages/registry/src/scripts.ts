import { BUILD_LOG, MOST_ALIASES } from "@berth/contracts";
import { LuaScript } from "@berth/redis";
import { keys } from "./keys.js";

/** Steps that an alias can be rolled back, one after another. */
const MOST_STEPS = 10;

/**
 * An alias is JSON in the function's hash, `alias:<name>`: `{shape, weights, follows, steps?, updatedAt}`. `steps` are the
 * versions that it led to wholly, the last one last. Before there were aliases, `live` was a field with a number, which
 * followed every deploy; it is read as that until it is written for the first time.
 * @param key of the function's hash, in Lua
 */
const aliasesIn = (key: string) => `
local function readAlias(name)
  local stored = redis.call('HGET', ${key}, 'alias:' .. name)
  if stored then return cjson.decode(stored) end
  local number = name == 'live' and redis.call('HGET', ${key}, 'live')
  if number then return {weights = {[number] = 100}, follows = true, steps = {tonumber(number)}} end
end
local function writeAlias(name, alias, now)
  alias.shape, alias.updatedAt = 1, now
  redis.call('HSET', ${key}, 'alias:' .. name, cjson.encode(alias), 'updatedAt', now)
  if name == 'live' then redis.call('HDEL', ${key}, 'live') end
end
local function aliasNames()
  local names = {}
  for _, field in ipairs(redis.call('HKEYS', ${key})) do
    local name = field == 'live' and field or string.match(field, '^alias:(.+)$')
    if name then names[#names + 1] = name end
  end
  return names
end
local function wholly(alias)
  local number = next(alias.weights)
  if number and not next(alias.weights, number) then return tonumber(number) end
end
local function leadWholly(alias, number)
  local steps = alias.steps or {}
  if steps[#steps] ~= number then steps[#steps + 1] = number end
  if #steps > ${MOST_STEPS} then table.remove(steps, 1) end
  alias.weights, alias.steps = {[string.format('%d', number)] = 100}, steps
end
-- What is removed is no step back any more. The alias itself hasn't moved.
local function forget(name, number)
  local alias, kept = readAlias(name), {}
  for _, step in ipairs(alias.steps or {}) do
    if step ~= number then kept[#kept + 1] = step end
  end
  if not alias.shape or #kept == #(alias.steps or {}) then return end
  alias.steps = #kept > 0 and kept or nil
  redis.call('HSET', ${key}, 'alias:' .. name, cjson.encode(alias))
end
-- A rebased version stands where the one that was deployed stood.
local function rankOf(prefix, number)
  return tonumber(redis.call('HGET', prefix .. string.format('%d', number), 'rank') or number)
end
-- A rebased version is in the place of the one that it was made from, wherever that is.
local function replace(from, number, now)
  for _, name in ipairs(aliasNames()) do
    local alias = readAlias(name)
    local share = alias.weights[string.format('%d', from)]
    if share then
      alias.weights[string.format('%d', from)] = nil
      alias.weights[string.format('%d', number)] = share
      if wholly(alias) then leadWholly(alias, number) end
      writeAlias(name, alias, now)
    end
  end
end
-- A version that is ready takes over the aliases that follow and lead to one that was deployed before.
local function takeOver(prefix, number, now)
  local names = aliasNames()
  if not readAlias('live') then names[#names + 1] = 'live' end
  for _, name in ipairs(names) do
    local alias = readAlias(name) or {weights = {}, follows = true}
    if alias.follows and number > rankOf(prefix, wholly(alias) or 0) then
      leadWholly(alias, number)
      writeAlias(name, alias, now)
    end
  end
end
`;

/** In the place of a version's number: whichever it is. */
export const ANY_VERSION = "*";

/** What a version's build says (build-logs.ts): a stream beside the version's hash, and who listens is told. */
const LOG = `
local function logLine(version, member, line)
  redis.call('XADD', version .. ':log', '*', 'line', line)
  redis.call('PUBLISH', '${keys.buildLogs}', member)
end
`;

/**
 * KEYS version. ARGV `project/name:number`, then lines (JSON). Says nothing of a version that is gone or final, and of a build that says
 * too much only that it did.
 */
export const ADD_LOG_LINES = new LuaScript(`${LOG}
local state = redis.call('HGET', KEYS[1], 'state')
if not state or state == 'ready' or state == 'failed' then return 0 end
for i = 2, #ARGV do
  local count = redis.call('XLEN', KEYS[1] .. ':log')
  if count == ${BUILD_LOG.lines} then
    logLine(KEYS[1], ARGV[1], '{"kind":"warning","text":"the log has ${BUILD_LOG.lines} lines: what follows is left out"}')
  elseif count < ${BUILD_LOG.lines} then
    logLine(KEYS[1], ARGV[1], ARGV[i])
  end
end
return 1`);

/**
 * KEYS names, function, numbers, counter, unfinished, users of the source, store, networks, volumes. Gives nothing while the store is lost, -1 without
 * the network, -2 and which without a volume.
 * ARGV name, base (JSON), fingerprint, now, version key prefix, `project/name`, the version that nothing is equal to (or `*`), a line for the log,
 * a network (or nothing), volumes.
 */
export const CREATE_VERSION = new LuaScript(`${LOG}
if redis.call('GET', KEYS[7]) == 'lost' then return {} end
if ARGV[9] ~= '' and redis.call('HEXISTS', KEYS[8], ARGV[9]) == 0 then return {-1, 0} end
for i = 10, #ARGV do
  local volume = redis.call('HGET', KEYS[9], ARGV[i])
  if not volume or cjson.decode(volume).state ~= 'ready' then return {-2, ARGV[i]} end
end
local latest = redis.call('HGET', KEYS[2], 'latest')
if latest and latest ~= ARGV[7] and ARGV[7] ~= '${ANY_VERSION}' then
  local state, fingerprint = unpack(redis.call('HMGET', ARGV[5] .. latest, 'state', 'fingerprint'))
  if state == 'ready' and fingerprint == ARGV[3] then return {tonumber(latest), 1} end
end
local number = redis.call('INCR', KEYS[4])
redis.call('HSET', ARGV[5] .. number, 'base', ARGV[2], 'fingerprint', ARGV[3], 'state', 'queued')
redis.call('ZADD', KEYS[3], number, number)
redis.call('HSETNX', KEYS[2], 'createdAt', ARGV[4])
redis.call('HSET', KEYS[2], 'latest', number, 'updatedAt', ARGV[4])
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[5], ARGV[6] .. ':' .. number)
redis.call('SADD', KEYS[6], ARGV[6] .. ':' .. number)
logLine(ARGV[5] .. number, ARGV[6] .. ':' .. number, ARGV[8])
return {number, 0}`);

/**
 * A version that is the same as another, for the base of now. KEYS function, numbers, counter, unfinished, users of the source, store.
 * ARGV number of the other, base (JSON), now, version key prefix, `project/name`, a line for the log. Gives nothing while the store is
 * lost, 0 when the other isn't ready, else the number: of the one that is under way already, when there is one.
 */
export const CREATE_REBASED = new LuaScript(`${LOG}
if redis.call('GET', KEYS[6]) == 'lost' then return {} end
local from = ARGV[4] .. ARGV[1]
local state, fingerprint, rank, other = unpack(redis.call('HMGET', from, 'state', 'fingerprint', 'rank', 'rebasedTo'))
if state ~= 'ready' then return {0} end
if other then
  local how = redis.call('HGET', ARGV[4] .. other, 'state')
  if how == 'queued' or how == 'building' then return {tonumber(other)} end
end
local number = redis.call('INCR', KEYS[3])
redis.call('HSET', ARGV[4] .. number, 'base', ARGV[2], 'fingerprint', fingerprint, 'state', 'queued', 'rank', rank or ARGV[1])
redis.call('HSET', from, 'rebasedTo', number)
redis.call('ZADD', KEYS[2], number, number)
-- The latest is what was deployed last, on whatever base.
if redis.call('HGET', KEYS[1], 'latest') == ARGV[1] then redis.call('HSET', KEYS[1], 'latest', number) end
redis.call('HSET', KEYS[1], 'updatedAt', ARGV[3])
redis.call('SADD', KEYS[4], ARGV[5] .. ':' .. number)
redis.call('SADD', KEYS[5], ARGV[5] .. ':' .. number)
logLine(ARGV[4] .. number, ARGV[5] .. ':' .. number, ARGV[6])
return {number}`);

/**
 * A version that was built before or elsewhere. KEYS names, function, numbers, counter, version, users of the source, changes.
 * ARGV name, number, `project/name`, base (JSON), fingerprint, image (JSON), build (JSON), now. Gives 0 when it is on record.
 */
export const IMPORT_VERSION = new LuaScript(`${aliasesIn("KEYS[2]")}
if redis.call('EXISTS', KEYS[5]) == 1 then return 0 end
local number = tonumber(ARGV[2])
if number > tonumber(redis.call('GET', KEYS[4]) or '0') then redis.call('SET', KEYS[4], ARGV[2]) end
redis.call('HSET', KEYS[5], 'base', ARGV[4], 'fingerprint', ARGV[5], 'state', 'ready', 'image', ARGV[6], 'build', ARGV[7],
  'finishedAt', cjson.encode(ARGV[8]))
redis.call('ZADD', KEYS[3], number, number)
redis.call('HSETNX', KEYS[2], 'createdAt', ARGV[8])
redis.call('HSET', KEYS[2], 'updatedAt', ARGV[8])
if number > tonumber(redis.call('HGET', KEYS[2], 'latest') or '0') then redis.call('HSET', KEYS[2], 'latest', ARGV[2]) end
takeOver(string.sub(KEYS[5], 1, -1 - #ARGV[2]), number, ARGV[8])
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[6], ARGV[3] .. ':' .. ARGV[2])
redis.call('PUBLISH', KEYS[7], ARGV[3])
return 1`);

/** KEYS store. ARGV what it is when nothing is said yet. Gives what it is. */
export const STORE_STATE = new LuaScript(`
redis.call('SET', KEYS[1], ARGV[1], 'NX')
return redis.call('GET', KEYS[1])`);

/**
 * KEYS function, version, changes, unfinished, users of the source.
 * ARGV number, state, now, `project/name`, a line for the log, then field, value … Refuses what is gone or final.
 * A version that is ready takes over the aliases that follow and lead to an older one.
 */
export const SET_STATE = new LuaScript(`${LOG}${aliasesIn("KEYS[1]")}
local state = redis.call('HGET', KEYS[2], 'state')
if not state or state == 'ready' or state == 'failed' then return 0 end
redis.call('HSET', KEYS[2], 'state', ARGV[2])
for i = 6, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
local member = ARGV[4] .. ':' .. ARGV[1]
if ARGV[2] == 'ready' or ARGV[2] == 'failed' then redis.call('SREM', KEYS[4], member) end
if ARGV[2] == 'failed' then redis.call('SREM', KEYS[5], member) end
if ARGV[2] == 'ready' then
  local from = cjson.decode(redis.call('HGET', KEYS[2], 'base')).rebasedFrom
  if from then replace(from, tonumber(ARGV[1]), ARGV[3])
  else takeOver(string.sub(KEYS[2], 1, -1 - #ARGV[1]), tonumber(ARGV[1]), ARGV[3]) end
end
logLine(KEYS[2], member, ARGV[5])
redis.call('PUBLISH', KEYS[3], ARGV[4])
return 1`);

/**
 * KEYS names, function, numbers, changes, unfinished, hooks, schedules, due schedules, open schedules. ARGV name, version key prefix, source key prefix, `project/name`, hook key prefix, schedule key prefix.
 * Gives 0 when there is no such function, else 1 and the digests of sources that nobody uses any more.
 */
export const DELETE_FUNCTION = new LuaScript(`
if redis.call('EXISTS', KEYS[2]) == 0 then return {0} end
local answer = {1}
for _, number in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  local version, member = ARGV[2] .. number, ARGV[4] .. ':' .. number
  local digest = cjson.decode(redis.call('HGET', version, 'base')).source.digest
  if redis.call('SREM', ARGV[3] .. digest, member) == 1 and redis.call('EXISTS', ARGV[3] .. digest) == 0 then
    answer[#answer + 1] = digest
  end
  redis.call('SREM', KEYS[5], member)
  redis.call('DEL', version, version .. ':log')
  redis.call('PUBLISH', '${keys.buildLogs}', member)
end
for _, id in ipairs(redis.call('HVALS', KEYS[6])) do
  local hook = ARGV[5] .. id
  redis.call('DEL', hook, hook .. ':log', hook .. ':runs', hook .. ':idle')
end
for _, id in ipairs(redis.call('HVALS', KEYS[7])) do
  local schedule = ARGV[6] .. id
  redis.call('DEL', schedule, schedule .. ':claims', schedule .. ':runs')
  redis.call('ZREM', KEYS[8], id)
  redis.call('ZREM', KEYS[9], id)
end
redis.call('DEL', KEYS[2], KEYS[3], KEYS[6], KEYS[7])
redis.call('SREM', KEYS[1], ARGV[1])
redis.call('PUBLISH', KEYS[4], ARGV[4])
return answer`);

/**
 * KEYS function, numbers, changes. ARGV alias, now, `project/name`, version key prefix, the version that is its step back from there
 * (or nothing; one that isn't ready is none), then either nothing, for an alias that follows, or version, per cent, …. Gives `ok`, or
 * what is in the way: `no_function`, `none_ready`, `full`, or `no_version`, `not_ready`, `failed` and the number.
 */
export const SET_ALIAS = new LuaScript(`${aliasesIn("KEYS[1]")}
if redis.call('EXISTS', KEYS[1]) == 0 then return {'no_function'} end
local name = ARGV[1]
local alias = readAlias(name)
if not alias then
  if #aliasNames() >= ${MOST_ALIASES} then return {'full'} end
  alias = {}
end
if ARGV[5] ~= '' and redis.call('HGET', ARGV[4] .. ARGV[5], 'state') == 'ready' then leadWholly(alias, tonumber(ARGV[5])) end
if #ARGV == 5 then
  local newest
  for _, number in ipairs(redis.call('ZREVRANGE', KEYS[2], 0, -1)) do
    local isNewer = not newest or rankOf(ARGV[4], number) > rankOf(ARGV[4], newest)
    if isNewer and redis.call('HGET', ARGV[4] .. number, 'state') == 'ready' then newest = tonumber(number) end
  end
  if not newest then return {'none_ready'} end
  leadWholly(alias, newest)
  alias.follows = true
else
  local weights = {}
  for i = 6, #ARGV, 2 do
    local state = redis.call('HGET', ARGV[4] .. ARGV[i], 'state')
    if not state then return {'no_version', ARGV[i]} end
    if state ~= 'ready' then return {state == 'failed' and 'failed' or 'not_ready', ARGV[i]} end
    weights[ARGV[i]] = tonumber(ARGV[i + 1])
  end
  alias.weights, alias.follows = weights, false
  local whole = wholly(alias)
  if whole then leadWholly(alias, whole) end
end
writeAlias(name, alias, ARGV[2])
redis.call('PUBLISH', KEYS[3], ARGV[3])
return {'ok'}`);

/**
 * KEYS function, numbers, changes. ARGV alias, now, `project/name`, version key prefix. Leads an alias wholly to the version that it
 * led to wholly before: before it was split, else before the version of now. What was removed since is passed over.
 * Gives `ok`, `no_function`, `no_alias` or `nothing`.
 */
export const ROLL_BACK = new LuaScript(`${aliasesIn("KEYS[1]")}
if redis.call('EXISTS', KEYS[1]) == 0 then return {'no_function'} end
local alias = readAlias(ARGV[1])
if not alias then return {'no_alias'} end
local steps, now = alias.steps or {}, wholly(alias)
local function isReady(number) return redis.call('HGET', ARGV[4] .. string.format('%d', number), 'state') == 'ready' end
while #steps > 0 and (steps[#steps] == now or not isReady(steps[#steps])) do table.remove(steps) end
if #steps == 0 and not alias.shape then
  -- It followed every deploy, and of no step is a record: the version before is the one below.
  for _, number in ipairs(redis.call('ZREVRANGEBYSCORE', KEYS[2], '(' .. now, '-inf')) do
    if isReady(tonumber(number)) then steps[1] = tonumber(number) break end
  end
end
if #steps == 0 then return {'nothing'} end
alias.steps, alias.follows = steps, false
leadWholly(alias, steps[#steps])
writeAlias(ARGV[1], alias, ARGV[2])
redis.call('PUBLISH', KEYS[3], ARGV[3])
return {'ok'}`);

/** KEYS function, changes. ARGV alias, now, `project/name`. Gives `ok`, `no_function` or `no_alias`. */
export const REMOVE_ALIAS = new LuaScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return {'no_function'} end
if redis.call('HDEL', KEYS[1], 'alias:' .. ARGV[1]) == 0 then return {'no_alias'} end
redis.call('HSET', KEYS[1], 'updatedAt', ARGV[2])
redis.call('PUBLISH', KEYS[2], ARGV[3])
return {'ok'}`);

/**
 * KEYS function, numbers, changes, unfinished. ARGV number, now, `project/name`, version key prefix, source key prefix.
 * Gives `ok` and the digest of its source when nobody uses that any more; `no_function`, `no_version`, `only`, or `in_use` and the aliases.
 */
export const REMOVE_VERSION = new LuaScript(`${aliasesIn("KEYS[1]")}
if redis.call('EXISTS', KEYS[1]) == 0 then return {'no_function'} end
local version, member = ARGV[4] .. ARGV[1], ARGV[3] .. ':' .. ARGV[1]
local base = redis.call('HGET', version, 'base')
if not base then return {'no_version'} end
local users = {'in_use'}
for _, name in ipairs(aliasNames()) do
  if readAlias(name).weights[ARGV[1]] then users[#users + 1] = name end
end
if #users > 1 then return users end
if redis.call('ZCARD', KEYS[2]) == 1 then return {'only'} end
for _, name in ipairs(aliasNames()) do forget(name, tonumber(ARGV[1])) end
redis.call('DEL', version, version .. ':log')
redis.call('PUBLISH', '${keys.buildLogs}', member)
redis.call('ZREM', KEYS[2], ARGV[1])
redis.call('SREM', KEYS[4], member)
redis.call('HSET', KEYS[1], 'latest', redis.call('ZREVRANGE', KEYS[2], 0, 0)[1], 'updatedAt', ARGV[2])
redis.call('PUBLISH', KEYS[3], ARGV[3])
local users = ARGV[5] .. cjson.decode(base).source.digest
if redis.call('SREM', users, member) == 1 and redis.call('EXISTS', users) == 0 then
  return {'ok', cjson.decode(base).source.digest}
end
return {'ok'}`);

/** KEYS version. ARGV copy (JSON). Gives 0 when the version is gone. */
export const SET_COPY = new LuaScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'copy', ARGV[1])
return 1`);

/** KEYS API keys. ARGV digest, entry. Gives 1 when there was no key and this is the first one now. */
export const FIRST_KEY = new LuaScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1`);

/** KEYS API keys, admin key. ARGV digest, entry. Puts it in the place of the one before. */
export const ADMIN_KEY = new LuaScript(`
local before = redis.call('GET', KEYS[2])
if before == ARGV[1] then return 0 end
if before then redis.call('HDEL', KEYS[1], before) end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[1])
return 1`);
