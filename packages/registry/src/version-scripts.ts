import { LuaScript } from "@berth/redis";
import { aliasesIn } from "./alias-scripts.js";
import { LOG } from "./build-log-scripts.js";
import { HELD, IMAGE_QUOTA } from "./held-layers.js";
import { quotaIn } from "./quotas.js";
import { CHANGE_USERS } from "./resource-index.js";

/** Lua: puts on record what MiB of sandboxes a function has ready. */
const WARM = `
local function keepWarm(warm, functions, name, member, mebibytes)
  if mebibytes == 0 then redis.call('HDEL', warm, name) return end
  redis.call('HSET', warm, name, string.format('%d', mebibytes))
  redis.call('SADD', functions, member)
end
`;

/** Lua: `-5`, how many and of how many, when a function that isn't there would be one too many. */
const FUNCTION_QUOTA = (quotas: string, project: string, fallback: string) => `${quotaIn(quotas, project, "functions", fallback)}
local function allFunctions(names, one)
  if redis.call('EXISTS', one) == 1 then return nil end
  local limit, used = quotaOf(), redis.call('SCARD', names)
  if limit and used >= limit then return {-5, used, limit} end
end
`;

/** Lua: `-7`, how many and of how many MiB, when what a function is to have ready is too much for its project; and puts it on record. */
const WARM_QUOTA = (quotas: string, project: string, fallback: string) => `${quotaIn(quotas, project, "warmMiB", fallback, "warmQuota")}
local function tooWarm(warm, name, mebibytes)
  local limit, used = warmQuota(), mebibytes
  if not limit or mebibytes == 0 then return nil end
  local all = redis.call('HGETALL', warm)
  for i = 1, #all, 2 do if all[i] ~= name then used = used + tonumber(all[i + 1]) end end
  if used > limit then return {-7, used, limit} end
end
${WARM}`;

/** In the place of a version's number: whichever it is. */
export const ANY_VERSION = "*";

/**
 * KEYS names, function, numbers, counter, unfinished, users of the source, store, networks, volumes, removed projects, secrets, quotas, held layers, warm, warm functions. Gives nothing while the store is
 * lost, -1 without the network, -2 and which without a volume, -3 when the project was removed, -4 and which without a secret, -5, how many and of how many when it has all functions that it may, -6 of MiB of images, -7 of sandboxes that are ready.
 * ARGV name, base (JSON), fingerprint, now, version key prefix, `project/name`, the version that nothing is equal to (or `*`), a line for the log,
 * project, a network (or nothing), functions and MiB of images that a project may have (or nothing), MiB of sandboxes that it has ready, and that a project may have (or nothing), how many volumes, those, secrets.
 */
export const CREATE_VERSION =
	new LuaScript(`${LOG}${HELD}${CHANGE_USERS}${FUNCTION_QUOTA("KEYS[12]", "ARGV[9]", "ARGV[11]")}${IMAGE_QUOTA(-6, "KEYS[12]", "ARGV[9]", "ARGV[12]")}${WARM_QUOTA("KEYS[12]", "ARGV[9]", "ARGV[14]")}
if redis.call('GET', KEYS[7]) == 'lost' then return {} end
if redis.call('HEXISTS', KEYS[10], ARGV[9]) == 1 then return {-3, 0} end
if ARGV[10] ~= '' and redis.call('HEXISTS', KEYS[8], ARGV[10]) == 0 then return {-1, 0} end
local volumes = 15 + tonumber(ARGV[15])
for i = 16, volumes do
  local volume = redis.call('HGET', KEYS[9], ARGV[i])
  if not volume or cjson.decode(volume).state ~= 'ready' then return {-2, ARGV[i]} end
end
for i = volumes + 1, #ARGV do
  if redis.call('HEXISTS', KEYS[11], ARGV[i]) == 0 then return {-4, ARGV[i]} end
end
local full = allFunctions(KEYS[1], KEYS[2])
if full then return full end
local latest = redis.call('HGET', KEYS[2], 'latest')
if latest and latest ~= ARGV[7] and ARGV[7] ~= '${ANY_VERSION}' then
  local state, fingerprint = unpack(redis.call('HMGET', ARGV[5] .. latest, 'state', 'fingerprint'))
  if state == 'ready' and fingerprint == ARGV[3] then return {tonumber(latest), 1} end
end
full = tooLarge(KEYS[13]) or tooWarm(KEYS[14], ARGV[1], tonumber(ARGV[13]))
if full then return full end
-- First what a full server refuses: once a script has written anything, an HDEL too, Redis lets it write all the rest.
local number = redis.call('INCR', KEYS[4])
redis.call('HSET', ARGV[5] .. number, 'base', ARGV[2], 'fingerprint', ARGV[3], 'state', 'queued')
redis.call('ZADD', KEYS[3], number, number)
redis.call('HSETNX', KEYS[2], 'createdAt', ARGV[4])
redis.call('HSET', KEYS[2], 'latest', number, 'updatedAt', ARGV[4])
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[5], ARGV[6] .. ':' .. number)
redis.call('SADD', KEYS[6], ARGV[6] .. ':' .. number)
keepWarm(KEYS[14], KEYS[15], ARGV[1], ARGV[6], tonumber(ARGV[13]))
changeUsers('SADD', ARGV[6] .. ':' .. number, ARGV[2])
logLine(ARGV[5] .. number, ARGV[6] .. ':' .. number, ARGV[8])
return {number, 0}`);

/**
 * A version that is the same as another, for the base of now. KEYS function, numbers, counter, unfinished, users of the source, store.
 * ARGV number of the other, base (JSON), now, version key prefix, `project/name`, a line for the log. Gives nothing while the store is
 * lost, 0 when the other isn't ready, else the number: of the one that is under way already, when there is one.
 */
export const CREATE_REBASED = new LuaScript(`${LOG}${CHANGE_USERS}
if redis.call('GET', KEYS[6]) == 'lost' then return {} end
local from = ARGV[4] .. ARGV[1]
local state, fingerprint, rank, other = unpack(redis.call('HMGET', from, 'state', 'fingerprint', 'rank', 'rebasedTo'))
if state ~= 'ready' then return {0} end
if other then
  local how = redis.call('HGET', ARGV[4] .. other, 'state')
  if how == 'queued' or how == 'building' then return {tonumber(other)} end
end
local number = redis.call('INCR', KEYS[3])
redis.call('HSET', ARGV[4] .. number, 'base', ARGV[2], 'fingerprint', fingerprint, 'state', 'queued', 'rank', rank or ARGV[1])
redis.call('HSET', from, 'rebasedTo', number)
redis.call('ZADD', KEYS[2], number, number)
-- The latest is what was deployed last, on whatever base.
if redis.call('HGET', KEYS[1], 'latest') == ARGV[1] then redis.call('HSET', KEYS[1], 'latest', number) end
redis.call('HSET', KEYS[1], 'updatedAt', ARGV[3])
redis.call('SADD', KEYS[4], ARGV[5] .. ':' .. number)
redis.call('SADD', KEYS[5], ARGV[5] .. ':' .. number)
changeUsers('SADD', ARGV[5] .. ':' .. number, ARGV[2])
logLine(ARGV[4] .. number, ARGV[5] .. ':' .. number, ARGV[6])
return {number}`);

/**
 * A version that was built before or elsewhere. KEYS names, function, numbers, counter, version, users of the source, changes, removed projects, quotas, held layers, warm, warm functions.
 * ARGV name, number, `project/name`, base (JSON), fingerprint, image (JSON), build (JSON), now, project, functions that a project may have (or nothing), 1 when quotas bound it, MiB of images that it may have (or nothing), MiB of sandboxes that it has ready.
 * Gives 0 when it is on record, -3 when the project was removed, or -5, how many and of how many when it has all functions that it may, -6 of MiB of images.
 */
export const IMPORT_VERSION =
	new LuaScript(`${aliasesIn("KEYS[2]")}${HELD}${CHANGE_USERS}${FUNCTION_QUOTA("KEYS[9]", "ARGV[9]", "ARGV[10]")}${IMAGE_QUOTA(-6, "KEYS[9]", "ARGV[9]", "ARGV[12]")}${WARM}
if redis.call('EXISTS', KEYS[5]) == 1 then return 0 end
if redis.call('HEXISTS', KEYS[8], ARGV[9]) == 1 then return -3 end
local full = ARGV[11] == '1' and (allFunctions(KEYS[1], KEYS[2]) or tooLarge(KEYS[10], ARGV[6]))
if full then return full end
local number = tonumber(ARGV[2])
if number > tonumber(redis.call('GET', KEYS[4]) or '0') then redis.call('SET', KEYS[4], ARGV[2]) end
redis.call('HSET', KEYS[5], 'base', ARGV[4], 'fingerprint', ARGV[5], 'state', 'ready', 'image', ARGV[6], 'build', ARGV[7],
  'finishedAt', cjson.encode(ARGV[8]))
holdLayers(KEYS[10], KEYS[5], ARGV[6])
redis.call('ZADD', KEYS[3], number, number)
redis.call('HSETNX', KEYS[2], 'createdAt', ARGV[8])
redis.call('HSET', KEYS[2], 'updatedAt', ARGV[8])
if number > tonumber(redis.call('HGET', KEYS[2], 'latest') or '0') then redis.call('HSET', KEYS[2], 'latest', ARGV[2]) end
if redis.call('HGET', KEYS[2], 'latest') == ARGV[2] then keepWarm(KEYS[11], KEYS[12], ARGV[1], ARGV[3], tonumber(ARGV[13]))
elseif tonumber(ARGV[13]) > 0 then redis.call('SADD', KEYS[12], ARGV[3]) end
takeOver(string.sub(KEYS[5], 1, -1 - #ARGV[2]), number, ARGV[8])
redis.call('SADD', KEYS[1], ARGV[1])
redis.call('SADD', KEYS[6], ARGV[3] .. ':' .. ARGV[2])
changeUsers('SADD', ARGV[3] .. ':' .. ARGV[2], ARGV[4])
redis.call('PUBLISH', KEYS[7], ARGV[3])
return 1`);

/**
 * KEYS function, version, changes, unfinished, users of the source, quotas, held layers.
 * ARGV number, state, now, `project/name`, a line for the log, project, MiB of images that it may have (or nothing), image (or nothing), then field, value …
 * Refuses what is gone or final, and gives -6, how many and of how many when the project's images would have more MiB than they may.
 * A version that is ready takes over the aliases that follow and lead to an older one.
 */
export const SET_STATE =
	new LuaScript(`${LOG}${HELD}${CHANGE_USERS}${IMAGE_QUOTA(-6, "KEYS[6]", "ARGV[6]", "ARGV[7]")}${aliasesIn("KEYS[1]")}
local state = redis.call('HGET', KEYS[2], 'state')
if not state or state == 'ready' or state == 'failed' then return 0 end
if ARGV[8] ~= '' then
  local full = tooLarge(KEYS[7], ARGV[8])
  if full then return full end
  holdLayers(KEYS[7], KEYS[2], ARGV[8])
end
redis.call('HSET', KEYS[2], 'state', ARGV[2])
for i = 9, #ARGV, 2 do redis.call('HSET', KEYS[2], ARGV[i], ARGV[i + 1]) end
local member = ARGV[4] .. ':' .. ARGV[1]
if ARGV[2] == 'ready' or ARGV[2] == 'failed' then redis.call('SREM', KEYS[4], member) end
if ARGV[2] == 'failed' then
  redis.call('SREM', KEYS[5], member)
  changeUsers('SREM', member, redis.call('HGET', KEYS[2], 'base'))
end
if ARGV[2] == 'ready' then
  local from = cjson.decode(redis.call('HGET', KEYS[2], 'base')).rebasedFrom
  if from then replace(from, tonumber(ARGV[1]), ARGV[3])
  else takeOver(string.sub(KEYS[2], 1, -1 - #ARGV[1]), tonumber(ARGV[1]), ARGV[3]) end
end
logLine(KEYS[2], member, ARGV[5])
redis.call('PUBLISH', KEYS[3], ARGV[4])
return 1`);

/** KEYS version. ARGV copy (JSON). Gives 0 when the version is gone. */
export const SET_COPY = new LuaScript(`
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
redis.call('HSET', KEYS[1], 'copy', ARGV[1])
return 1`);
