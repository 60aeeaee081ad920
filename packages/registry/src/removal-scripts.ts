import { LuaScript } from "@berth/redis";
import { aliasesIn } from "./alias-scripts.js";
import { HELD } from "./held-layers.js";
import { keys } from "./keys.js";
import { CHANGE_USERS } from "./resource-index.js";

/**
 * KEYS names, function, numbers, changes, unfinished, hooks, schedules, due schedules, open schedules, held layers, warm, warm functions. ARGV name, version key prefix, source key prefix, `project/name`, hook key prefix, schedule key prefix.
 * Gives 0 when there is no such function, else 1 and the digests of sources that nobody uses any more.
 */
export const DELETE_FUNCTION = new LuaScript(`${HELD}${CHANGE_USERS}
if redis.call('EXISTS', KEYS[2]) == 0 then return {0} end
local answer = {1}
for _, number in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  local version, member = ARGV[2] .. number, ARGV[4] .. ':' .. number
  local base = redis.call('HGET', version, 'base')
  local digest = cjson.decode(base).source.digest
  if redis.call('SREM', ARGV[3] .. digest, member) == 1 and redis.call('EXISTS', ARGV[3] .. digest) == 0 then
    answer[#answer + 1] = digest
  end
  redis.call('SREM', KEYS[5], member)
  releaseLayers(KEYS[10], version)
  changeUsers('SREM', member, base)
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
redis.call('HDEL', KEYS[11], ARGV[1])
redis.call('SREM', KEYS[12], ARGV[4])
redis.call('PUBLISH', KEYS[4], ARGV[4])
return answer`);

/**
 * KEYS function, numbers, changes, unfinished, held layers. ARGV number, now, `project/name`, version key prefix, source key prefix.
 * Gives `ok` and the digest of its source when nobody uses that any more; `no_function`, `no_version`, `only`, or `in_use` and the aliases.
 */
export const REMOVE_VERSION = new LuaScript(`${HELD}${CHANGE_USERS}${aliasesIn("KEYS[1]")}
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
releaseLayers(KEYS[5], version)
changeUsers('SREM', member, base)
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
