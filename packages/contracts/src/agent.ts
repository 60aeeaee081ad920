/** What in-sandbox code may use: nothing here has a dependency. */
export * from "./agent-protocol.js";
export * from "./build-protocol.js";
export * from "./framing.js";
export * from "./idempotency-key.js";
export type * from "./invocation.js";
export * from "./invoking.js";
export { DEFAULT_FILENAME, type Language, languageOf } from "./language.js";
export { DEPENDENCY_LIMITS, FIXED_LIMITS, IMAGE_LIMITS } from "./limits.js";
export { LEVEL_MARK } from "./log.js";
export * from "./stream-protocol.js";
export type { TraceContext } from "./trace.js";
export type { Diagnostic, SourceKind } from "./version.js";
