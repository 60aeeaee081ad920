import { LuaScript } from "@berth/redis";

/** A gateway that says nothing for so long has lost what it was lent, milliseconds; itself it gives it up a second sooner. */
export const LENT_MS = 5000;

/**
 * A token bucket that lends to gateways. KEYS bucket. ARGV gateway, rate a second, burst, what it has of what it was lent, what it gives back besides, wanted, now ms (or nothing: the server's).
 * Gives how many were lent, how many it has besides, ms until there is one when none was lent, and how many are left.
 *
 * What is lent and not known to be spent counts against the burst: tokens + lent never exceed it. So whatever gateways spend in a time T,
 * whenever it was lent to them, is at most burst + rate × T, of all of them together.
 */
export const LEND = new LuaScript(`
local rate, burst = tonumber(ARGV[2]) / 1000, tonumber(ARGV[3])
local now = tonumber(ARGV[7])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + time[2] / 1000
end
local held = redis.call('HGETALL', KEYS[1])
local tokens, at, lent, mine = burst, now, 0, 0
for i = 1, #held, 2 do
  local name, value = held[i], held[i + 1]
  if name == 'tokens' then tokens = tonumber(value)
  elseif name == 'at' then at = tonumber(value)
  else
    local count, until_ = string.match(value, '^(%S+) (%S+)$')
    if tonumber(until_) <= now then redis.call('HDEL', KEYS[1], name)
    elseif name == ARGV[1] then mine = tonumber(count)
    else lent = lent + tonumber(count) end
  end
end
local has = math.min(tonumber(ARGV[4]), mine)
local back = math.min(tonumber(ARGV[5]), mine - has)
mine = has
tokens = math.min(burst - lent - mine, tokens + back + math.max(0, now - at) * rate)
tokens = math.max(0, tokens)
local take = math.min(tonumber(ARGV[6]), math.floor(tokens))
tokens, mine = tokens - take, mine + take
redis.call('HSET', KEYS[1], 'tokens', string.format('%.6f', tokens), 'at', string.format('%.3f', math.max(now, at)))
if mine > 0 then redis.call('HSET', KEYS[1], ARGV[1], mine .. ' ' .. string.format('%.3f', now + ${LENT_MS}))
else redis.call('HDEL', KEYS[1], ARGV[1]) end
redis.call('PEXPIRE', KEYS[1], math.ceil(burst / rate) + ${2 * LENT_MS})
local wait = take > 0 and 0 or math.max(1, math.ceil((1 - tokens) / rate))
return { take, has, wait, math.floor(tokens) }
`);
