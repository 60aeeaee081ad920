import { LuaScript } from "@berth/redis";

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
