import { LuaScript } from "@berth/redis";

/** KEYS API keys. ARGV digest, entry. Gives 1 when there was no key and this is the first one now. */
export const FIRST_KEY = new LuaScript(`
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 1`);

/** KEYS API keys, admin key. ARGV digest, entry, channel of revocations. Puts it in the place of the one before. */
export const ADMIN_KEY = new LuaScript(`
local before = redis.call('GET', KEYS[2])
if before == ARGV[1] then return 0 end
if before then
	redis.call('HDEL', KEYS[1], before)
	redis.call('PUBLISH', ARGV[3], 'revoked')
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('SET', KEYS[2], ARGV[1])
return 1`);

/**
 * KEYS API keys, those of the project, projects. ARGV name, digest, entry, the most there may be, the project unless it is the first.
 * Gives made, exists, full, or gone when the project isn't there.
 */
export const MAKE_KEY = new LuaScript(`
if ARGV[5] ~= '' and redis.call('HEXISTS', KEYS[3], ARGV[5]) == 0 then return 'gone' end
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 1 then return 'exists' end
if redis.call('HLEN', KEYS[2]) >= tonumber(ARGV[4]) then return 'full' end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[1], ARGV[2], ARGV[3])
return 'made'`);

/** KEYS API keys, those of the project. ARGV name, channel of revocations. Gives 1 when there was one of that name. */
export const REVOKE_KEY = new LuaScript(`
local digest = redis.call('HGET', KEYS[2], ARGV[1])
if not digest then return 0 end
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[1], digest)
redis.call('PUBLISH', ARGV[2], 'revoked')
return 1`);

/** KEYS API keys, those of the project. Gives entries. */
export const PROJECT_KEYS = new LuaScript(`
local digests = redis.call('HVALS', KEYS[2])
if #digests == 0 then return {} end
return redis.call('HMGET', KEYS[1], unpack(digests))`);
