export type { LaneTotals } from "./counters.js";
export type { RecordBudget } from "./interactive-records.js";
export type { GatewayQueue } from "./invocation-queue.js";
export type { SourceTotals, WorkerSource } from "./invocation-source.js";
export type { QueueLogger } from "./logger.js";
export type { NodeChanged } from "./node-directory.js";
export * from "./open.js";
export type { FollowerMaterial, FollowUp, Outbox } from "./outbox.js";
export type * from "./ports.js";
