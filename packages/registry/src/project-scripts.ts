import { LuaScript } from "@berth/redis";

/** KEYS projects, names of removed ones. ARGV name, now, the most there may be. Gives made, there, removed or full. */
export const MAKE_PROJECT = new LuaScript(`
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 'there' end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 'removed' end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 'made'`);

/**
 * KEYS projects, names of removed ones, API keys, those of the project, its functions, its networks, its volumes, what goes with it.
 * ARGV name, now, channel of revocations, quotas, counted projects, those whose counters are left. Gives ok, none, or what it still has.
 */
export const REMOVE_PROJECT = new LuaScript(`
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return 'none' end
for at, what in ipairs({'functions', 'networks', 'volumes'}) do
	if redis.call('EXISTS', KEYS[4 + at]) == 1 then return what end
end
for _, digest in ipairs(redis.call('HVALS', KEYS[4])) do redis.call('HDEL', KEYS[3], digest) end
redis.call('DEL', KEYS[4], unpack(KEYS, 8))
redis.call('HDEL', ARGV[4], ARGV[1])
redis.call('SREM', ARGV[5], ARGV[1])
redis.call('SADD', ARGV[6], ARGV[1])
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], 'revoked')
return 'ok'`);
