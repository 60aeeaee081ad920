import { LuaScript } from "@berth/redis";
import { USERS } from "./resource-users.js";

const HAS_SECRETS = "for _, secret in ipairs(manifest.secrets or {}) do found(type(secret) == 'table' and secret.name or secret) end";

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

/** KEYS secrets, names. ARGV what keys of numbers and versions begin with, name, project, channel of changes. Gives `ok`, `none`, or `used` and by which functions. */
export const REMOVE_SECRET = new LuaScript(`${USERS("KEYS[2]", HAS_SECRETS)}
if redis.call('HEXISTS', KEYS[1], ARGV[3]) == 0 then return {'none'} end
local found = {'used'}
users(function(name, secret) if secret == ARGV[3] then found[#found + 1] = name end end)
if #found > 1 then return found end
redis.call('HDEL', KEYS[1], ARGV[3])
redis.call('PUBLISH', ARGV[5], ARGV[4])
return {'ok'}`);
