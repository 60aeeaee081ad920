import { MOST_ALIASES } from "@berth/contracts";
import { LuaScript } from "@berth/redis";

/** Steps that an alias can be rolled back, one after another. */
const MOST_STEPS = 10;

/**
 * An alias is JSON in the function's hash, `alias:<name>`: `{shape, weights, follows, steps?, updatedAt}`. `steps` are the
 * versions that it led to wholly, the last one last. Before there were aliases, `live` was a field with a number, which
 * followed every deploy; it is read as that until it is written for the first time.
 * @param key of the function's hash, in Lua
 */
export const aliasesIn = (key: string) => `
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
