import { LuaScript } from "@berth/redis";
import { REFUSE_USED } from "./resource-index.js";

/**
 * KEYS secrets, removed projects. ARGV name, record (JSON), the most there may be, project, channel of changes. Its `createdAt` is that of the first one.
 * Gives the record that there is now, and whether there was none; or `full`, or `gone` when the project was removed.
 */
export const SET_SECRET = new LuaScript(`
if redis.call('HEXISTS', KEYS[2], ARGV[4]) == 1 then return {'gone'} end
local before = redis.call('HGET', KEYS[1], ARGV[1])
if not before and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[3]) then return {'full'} end
local record = cjson.decode(ARGV[2])
if before then record.createdAt = cjson.decode(before).createdAt end
local text = cjson.encode(record)
redis.call('HSET', KEYS[1], ARGV[1], text)
redis.call('PUBLISH', ARGV[5], ARGV[4])
return {text, before and 0 or 1}`);

/** KEYS secrets, counted projects, users. ARGV name, project, channel of changes. Gives `ok`, `none`, or as `REFUSE_USED`. */
export const REMOVE_SECRET = new LuaScript(`
if redis.call('HEXISTS', KEYS[1], ARGV[1]) == 0 then return {'none'} end
${REFUSE_USED("KEYS[2]", "KEYS[3]", "ARGV[2]")}
redis.call('HDEL', KEYS[1], ARGV[1])
redis.call('PUBLISH', ARGV[3], ARGV[2])
return {'ok'}`);
