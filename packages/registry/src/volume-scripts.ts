import { LuaScript } from "@berth/redis";
import { USERS } from "./resource-users.js";

const HAS_VOLUMES = "for _, volume in ipairs(manifest.volumes or {}) do found(volume.name) end";

/** KEYS volumes, removed projects. ARGV name, record (JSON), the most there may be, project. Gives the record that there is now, `full`, or `gone` when the project was removed. */
export const BEGIN_VOLUME = new LuaScript(`
if redis.call('HEXISTS', KEYS[2], ARGV[4]) == 1 then return 'gone' end
local record = redis.call('HGET', KEYS[1], ARGV[1])
if record then return record end
if redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return 'full' end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
return ARGV[2]`);

/** KEYS volumes. ARGV name, state. Gives 0 when it is gone, or is being removed. */
export const VOLUME_READY = new LuaScript(`
local text = redis.call('HGET', KEYS[1], ARGV[1])
local record = text and cjson.decode(text)
if not record or record.state == 'removing' then return 0 end
record.state = 'ready'
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(record))
return 1`);

/** KEYS volumes. ARGV name. What was never made is forgotten. */
export const FORGET_UNMADE = new LuaScript(`
local text = redis.call('HGET', KEYS[1], ARGV[1])
if text and cjson.decode(text).state == 'making' then redis.call('HDEL', KEYS[1], ARGV[1]) end
return 1`);

/**
 * KEYS volumes, names. ARGV what keys of numbers and versions begin with, name. From now on no version gets it.
 * Gives `ok`, `none`, or `used` and by which functions.
 */
export const BEGIN_REMOVAL = new LuaScript(`${USERS("KEYS[2]", HAS_VOLUMES)}
local text = redis.call('HGET', KEYS[1], ARGV[3])
if not text then return {'none'} end
local found = {'used'}
users(function(name, volume) if volume == ARGV[3] then found[#found + 1] = name end end)
if #found > 1 then return found end
local record = cjson.decode(text)
record.state = 'removing'
redis.call('HSET', KEYS[1], ARGV[3], cjson.encode(record))
return {'ok'}`);
