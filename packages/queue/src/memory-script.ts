import { KIB } from "@berth/contracts";

/**
 * Parts of the durable Redis's `maxmemory`, of which what is not yet settled has a reserve besides what it takes. Up to the first it holds settled
 * records as long as they are to be kept; beyond it the oldest of whoever has most go. Beyond the second nothing new is queued, and dead letters go likewise.
 */
export const MEMORY_PARTS = { history: 0.75, work: 0.85 } as const;
/** What an invocation that isn't settled may come to take beside what it took when it was accepted: who runs it, how its last attempt went, where it is listed then. */
export const RESERVE_BYTES = KIB;

/** Lua: bytes that are taken of the durable Redis, as that holds them against `maxmemory`, with those in reserve for what isn't settled; and `maxmemory`. */
export const MEASURE = `
	local function measure(lane)
		local info = redis.call("INFO", "memory")
		local of = function(name) return tonumber(string.match(info, name .. ":(%d+)") or 0) end
		local totals = redis.call("HMGET", lane, "accepted", "settled", "dead")
		local unsettled = math.max(0, (totals[1] or 0) - (totals[2] or 0) - (totals[3] or 0))
		return of("[\\r\\n]used_memory") - of("mem_not_counted_for_evict") + unsettled * ${RESERVE_BYTES}, of("[\\r\\n]maxmemory")
	end
`;
