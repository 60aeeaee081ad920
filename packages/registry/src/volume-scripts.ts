import { LuaScript } from "@berth/redis";
import { REFUSE_USED } from "./resource-index.js";

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
 * KEYS volumes, counted projects, users. ARGV name, project. From now on no version gets it.
 * Gives `ok`, `none`, or as `REFUSE_USED`.
 */
export const BEGIN_REMOVAL = new LuaScript(`
local text = redis.call('HGET', KEYS[1], ARGV[1])
if not text then return {'none'} end
${REFUSE_USED("KEYS[2]", "KEYS[3]", "ARGV[2]")}
local record = cjson.decode(text)
record.state = 'removing'
redis.call('HSET', KEYS[1], ARGV[1], cjson.encode(record))
return {'ok'}`);
