import { LuaScript } from "@berth/redis";
import { REFUSE_USED } from "./resource-index.js";

/** KEYS networks, removed projects. ARGV name, now, the most there may be, project. Gives made, there, full, or gone when the project was removed. */
export const MAKE_NETWORK = new LuaScript(`
if redis.call('HEXISTS', KEYS[2], ARGV[4]) == 1 then return 'gone' end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 'there' end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 'made'`);

/** KEYS networks, counted projects, users. ARGV name, project. Gives `ok`, `none`, or as `REFUSE_USED`. */
export const REMOVE_NETWORK = new LuaScript(`
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return {'none'} end
${REFUSE_USED("KEYS[2]", "KEYS[3]", "ARGV[2]")}
redis.call('HDEL', KEYS[1], ARGV[1])
return {'ok'}`);
