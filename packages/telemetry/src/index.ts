export * from "./gateway-metrics.js";
export * from "./logger.js";
export * from "./main-thread.js";
export * from "./tracing/index.js";
export * from "./worker-metrics.js";
