export { RedisServer } from "./redis-server.js";
export { SentinelPair } from "./sentinel-pair.js";
export { SlowProxy } from "./slow-proxy.js";
