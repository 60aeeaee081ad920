import { LuaScript } from "@berth/redis";

/** Calls `each(function, network)` for every version that hasn't failed and is on a network. ARGV[1] and [2] are what keys of numbers and versions begin with. */
const USERS = (names: string) => `
local function users(each)
  for _, name in ipairs(redis.call('SMEMBERS', ${names})) do
    for _, number in ipairs(redis.call('ZRANGE', ARGV[1] .. name, 0, -1)) do
      local base, state = unpack(redis.call('HMGET', ARGV[2] .. name .. ':' .. number, 'base', 'state'))
      if base and state ~= 'failed' then
        local network = cjson.decode(base).manifest.network
        if type(network) == 'table' then each(name, network.join) end
      end
    end
  end
end`;

/** KEYS names. ARGV what keys of numbers and versions begin with. Gives network, function, network, … */
export const USES_OF_NETWORKS = new LuaScript(`${USERS("KEYS[1]")}
local found = {}
users(function(name, network) found[#found + 1] = network; found[#found + 1] = name end)
return found`);

/** KEYS networks. ARGV name, now, the most there may be. */
export const MAKE_NETWORK = new LuaScript(`
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 1 then return 'there' end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return 'made'`);

/** KEYS networks, names. ARGV what keys of numbers and versions begin with, name. Gives `ok`, `none`, or `used` and by which functions. */
export const REMOVE_NETWORK = new LuaScript(`${USERS("KEYS[2]")}
if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 0 then return {'none'} end
local found = {'used'}
users(function(name, network) if network == ARGV[3] then found[#found + 1] = name end end)
if #found > 1 then return found end
redis.call('HDEL', KEYS[1], ARGV[3])
return {'ok'}`);
