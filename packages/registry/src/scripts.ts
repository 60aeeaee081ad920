import { LuaScript } from "@berth/redis";

/**
 * KEYS names, function, numbers, counter, unfinished, users of the source, store. Gives nothing while the store is lost.
 * ARGV name, base (JSON), fingerprint, now, version key prefix, `project/name`, the version that nothing is equal to.
 */
export const CREATE_VERSION = new LuaScript(`
if redis.call('GET', KEYS[7]) == 'lost' then return {} end
local live = redis.call('HGET', KEYS[2], 'live')
local latest = redis.call('HGET', KEYS[2], 'latest')
if live and live == latest and live ~= ARGV[7] and redis.call('HGET', ARGV[5] .. live, 'fingerprint') == ARGV[3] then
  return {tonumber(live), 1}
end
local number = redis.call('INCR', KEYS[4])
redis.call('HSET', ARGV[5] .. number, 'base', ARGV[2], 'fingerprint', ARGV[3], 'state', 'queued')
redis.call('ZADD', KEYS[3], number, number)
redis.call('HSETNX', KEYS[2], 'createdAt', ARGV[4])
redis.call('HSET', KEYS[2], 'latest', number, 'updatedAt', ARGV[4])
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[5], ARGV[6] .. ':' .. number)
redis.call('SADD', KEYS[6], ARGV[6] .. ':' .. number)
return {number, 0}`);

/**
 * A version that was built before or elsewhere. KEYS names, function, numbers, counter, version, users of the source, changes.
 * ARGV name, number, `project/name`, base (JSON), fingerprint, image (JSON), build (JSON), now. Gives 0 when it is on record.
 */
export const IMPORT_VERSION = new LuaScript(`
if redis.call('EXISTS', KEYS[5]) == 1 then return 0 end
local number = tonumber(ARGV[2])
if number > tonumber(redis.call('GET', KEYS[4]) or '0') then redis.call('SET', KEYS[4], ARGV[2]) end
redis.call('HSET', KEYS[5], 'base', ARGV[4], 'fingerprint', ARGV[5], 'state', 'ready', 'image', ARGV[6], 'build', ARGV[7],
  'finishedAt', cjson.encode(ARGV[8]))
redis.call('ZADD', KEYS[3], number, number)
redis.call('HSETNX', KEYS[2], 'createdAt', ARGV[8])
redis.call('HSET', KEYS[2], 'updatedAt', ARGV[8])
for _, field in ipairs({'live', 'latest'}) do
  if number > tonumber(redis.call('HGET', KEYS[2], field) or '0') then redis.call('HSET', KEYS[2], field, ARGV[2]) end
end
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
 * ARGV number, state, now, `project/name`, then field, value … Refuses what is gone or final.
 */
export const SET_STATE = new LuaScript(`
local state = redis.call('HGET', KEYS[2], 'state')
if not state or state == 'ready' or state == 'failed' then return 0 end
redis.call('HSET', KEYS[2], 'state', ARGV[2])
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
local member = ARGV[4] .. ':' .. ARGV[1]
if ARGV[2] == 'ready' or ARGV[2] == 'failed' then redis.call('SREM', KEYS[4], member) end
if ARGV[2] == 'failed' then redis.call('SREM', KEYS[5], member) end
if ARGV[2] == 'ready' then
  local live = tonumber(redis.call('HGET', KEYS[1], 'live') or '0')
  if tonumber(ARGV[1]) > live then redis.call('HSET', KEYS[1], 'live', ARGV[1], 'updatedAt', ARGV[3]) end
end
redis.call('PUBLISH', KEYS[3], ARGV[4])
return 1`);

/**
 * KEYS names, function, numbers, changes, unfinished. ARGV name, version key prefix, source key prefix, `project/name`.
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
  redis.call('DEL', version)
end
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('SREM', KEYS[1], ARGV[1])
redis.call('PUBLISH', KEYS[4], ARGV[4])
return answer`);

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
