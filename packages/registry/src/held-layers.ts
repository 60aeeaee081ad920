import { MIB } from "@berth/contracts";
import { quotaIn } from "./quotas.js";

/**
 * Lua: what the layers of a project's versions take, each counted once. The hash has of each layer how many versions it is of and its bytes, and in
 * `bytes` their sum. A version that counts says so, so that one from before there were quotas takes nothing back that it hasn't given.
 */
export const HELD = `
local function eachLayer(image)
  local seen, layers = {}, {}
  for _, layer in ipairs(cjson.decode(image).layers) do
    if not seen[layer.digest] then layers[#layers + 1] = layer end
    seen[layer.digest] = true
  end
  return layers
end
local function holdLayers(held, version, image)
  for _, layer in ipairs(eachLayer(image)) do
    local users = tonumber(string.match(redis.call('HGET', held, layer.digest) or '0', '^%d+'))
    if users == 0 then redis.call('HINCRBY', held, 'bytes', string.format('%d', layer.sizeBytes)) end
    redis.call('HSET', held, layer.digest, (users + 1) .. ' ' .. string.format('%d', layer.sizeBytes))
  end
  redis.call('HSET', version, 'counted', 1)
end
local function releaseLayers(held, version)
  local image, counted = unpack(redis.call('HMGET', version, 'image', 'counted'))
  if not image or not counted then return end
  for _, layer in ipairs(eachLayer(image)) do
    local users, bytes = string.match(redis.call('HGET', held, layer.digest) or '', '^(%d+) (%d+)$')
    if users == '1' then
      redis.call('HDEL', held, layer.digest)
      redis.call('HINCRBY', held, 'bytes', '-' .. bytes)
    elseif users then redis.call('HSET', held, layer.digest, (tonumber(users) - 1) .. ' ' .. bytes) end
  end
end
`;

/** Lua, after `HELD`: what was refused, used MiB and of how many, when layers that aren't held yet would be too much; without an image, when there is no room at all. */
export const IMAGE_QUOTA = (refusal: number, quotas: string, project: string, fallback: string): string => `
${quotaIn(quotas, project, "imageMiB", fallback, "imageQuota")}
local function tooLarge(held, image)
  local limit = imageQuota()
  if not limit then return nil end
  local bytes, more = tonumber(redis.call('HGET', held, 'bytes') or '0'), 0
  for _, layer in ipairs(image and eachLayer(image) or {}) do
    if redis.call('HEXISTS', held, layer.digest) == 0 then more = more + layer.sizeBytes end
  end
  local isFull = bytes >= limit * ${MIB}
  if image then isFull = more > 0 and bytes + more > limit * ${MIB} end
  if isFull then return {${refusal}, math.ceil((bytes + more) / ${MIB}), limit} end
end
`;
