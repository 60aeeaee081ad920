import { LuaScript } from "@berth/redis";
import { USERS } from "./resource-users.js";

const ON_NETWORK = "if type(manifest.network) == 'table' and manifest.network.join then found(manifest.network.join) end";

/** KEYS networks, removed projects. ARGV name, now, the most there may be, project. Gives made, there, full, or gone when the project was removed. */
export const MAKE_NETWORK = new LuaScript(`
if redis.call('HEXISTS', KEYS[2], ARGV[4]) == 1 then return 'gone' end
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 'there' end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 'made'`);

/** KEYS networks, names. ARGV what keys of numbers and versions begin with, name. Gives `ok`, `none`, or `used` and by which functions. */
export const REMOVE_NETWORK = new LuaScript(`${USERS("KEYS[2]", ON_NETWORK)}
if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 0 then return {'none'} end
local found = {'used'}
users(function(name, network) if network == ARGV[3] then found[#found + 1] = name end end)
if #found > 1 then return found end
redis.call('HDEL', KEYS[1], ARGV[3])
return {'ok'}`);
