import type { Redis } from "@berth/redis";

/** KEYS names, function, numbers, counter. ARGV name, base (JSON), fingerprint, now, version key prefix. */
const CREATE_VERSION = `
local live = redis.call('HGET', KEYS[2], 'live')
local latest = redis.call('HGET', KEYS[2], 'latest')
if live and live == latest and redis.call('HGET', ARGV[5] .. live, 'fingerprint') == ARGV[3] then
  return {tonumber(live), 1}
end
local number = redis.call('INCR', KEYS[4])
redis.call('HSET', ARGV[5] .. number, 'base', ARGV[2], 'fingerprint', ARGV[3], 'state', 'queued')
redis.call('ZADD', KEYS[3], number, number)
redis.call('HSETNX', KEYS[2], 'createdAt', ARGV[4])
redis.call('HSET', KEYS[2], 'latest', number, 'updatedAt', ARGV[4])
redis.call('SADD', KEYS[1], ARGV[1])
return {number, 0}`;

/** KEYS function, version, changes. ARGV number, state, now, message, then field, value … Refuses what is gone or final. */
const SET_STATE = `
local state = redis.call('HGET', KEYS[2], 'state')
if not state or state == 'ready' or state == 'failed' then return 0 end
redis.call('HSET', KEYS[2], 'state', ARGV[2])
for i = 5, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
if ARGV[2] == 'ready' then
  local live = tonumber(redis.call('HGET', KEYS[1], 'live') or '0')
  if tonumber(ARGV[1]) > live then redis.call('HSET', KEYS[1], 'live', ARGV[1], 'updatedAt', ARGV[3]) end
end
redis.call('PUBLISH', KEYS[3], ARGV[4])
return 1`;

/** KEYS names, function, numbers, changes. ARGV name, version key prefix, message. */
const DELETE_FUNCTION = `
if redis.call('EXISTS', KEYS[2]) == 0 then return 0 end
for _, number in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do redis.call('DEL', ARGV[2] .. number) end
redis.call('DEL', KEYS[2], KEYS[3])
redis.call('SREM', KEYS[1], ARGV[1])
redis.call('PUBLISH', KEYS[4], ARGV[3])
return 1`;

/** The registry's scripts, each atomic on the server. */
export interface RegistryScripts {
	berthCreateVersion(...args: (string | number)[]): Promise<[number, 0 | 1]>;
	berthSetState(...args: (string | number)[]): Promise<0 | 1>;
	berthDeleteFunction(...args: (string | number)[]): Promise<0 | 1>;
}

export function withScripts(redis: Redis): Redis & RegistryScripts {
	redis.defineCommand("berthCreateVersion", { numberOfKeys: 4, lua: CREATE_VERSION });
	redis.defineCommand("berthSetState", { numberOfKeys: 3, lua: SET_STATE });
	redis.defineCommand("berthDeleteFunction", { numberOfKeys: 4, lua: DELETE_FUNCTION });
	return redis as Redis & RegistryScripts;
}
