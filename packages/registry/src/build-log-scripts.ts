import { BUILD_LOG } from "@berth/contracts";
import { LuaScript } from "@berth/redis";
import { keys } from "./keys.js";

/** What a version's build says (build-logs.ts): a stream beside the version's hash, and who listens is told. */
export const LOG = `
local function logLine(version, member, line)
  redis.call('XADD', version .. ':log', '*', 'line', line)
  redis.call('PUBLISH', '${keys.buildLogs}', member)
end
`;

/**
 * KEYS version. ARGV `project/name:number`, then lines (JSON). Says nothing of a version that is gone or final, and of a build that says
 * too much only that it did.
 */
export const ADD_LOG_LINES = new LuaScript(`${LOG}
local state = redis.call('HGET', KEYS[1], 'state')
if not state or state == 'ready' or state == 'failed' then return 0 end
for i = 2, #ARGV do
  local count = redis.call('XLEN', KEYS[1] .. ':log')
  if count == ${BUILD_LOG.lines} then
    logLine(KEYS[1], ARGV[1], '{"kind":"warning","text":"the log has ${BUILD_LOG.lines} lines: what follows is left out"}')
  elseif count < ${BUILD_LOG.lines} then
    logLine(KEYS[1], ARGV[1], ARGV[i])
  end
end
return 1`);
