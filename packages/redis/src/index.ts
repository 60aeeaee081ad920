export { guarded, isRefusal, isUnsent, READY_WAIT_MS, startOf, unavailable, untilReady } from "./availability.js";
export { type ConnectionSpec, closeRedis, connectRedis, openRedis, type Redis, type RedisUse } from "./connection.js";
export { type ConnectionLog, SILENT } from "./log.js";
export { LuaScript } from "./lua-script.js";
export { idOf, putOnce } from "./put-once.js";
export { NOT_AFTER, ServerClock, TooLateError } from "./server-clock.js";
export { SharedTime, sharedNow, shareTime } from "./shared-time.js";
export { Subscription, type SubscriptionEvents } from "./subscription.js";
