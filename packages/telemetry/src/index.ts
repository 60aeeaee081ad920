export * from "./gateway-metrics.js";
export * from "./logger.js";
export * from "./worker-metrics.js";
