export { type OpenTracing, openTracing } from "./open-tracing.js";
export type { Span, SpanSink } from "./span.js";
export { Tracing } from "./tracing.js";
