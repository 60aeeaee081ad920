export type { BuildFollower } from "./build-logs.js";
export { type Client, type ClientOptions, createClient } from "./client.js";
export { ApiError, ConnectionError } from "./errors.js";
export type { DeployOptions } from "./functions.js";
export type { TransferOptions } from "./images.js";
export { type FunctionRequest, type InvokeAnswer, type InvokeOptions, type Payload, resultOf } from "./invocations.js";
export type { Command, Readiness } from "./nodes.js";
export { parseServerTiming, type ServerTiming } from "./server-timing.js";
export type { Exchange, RawAnswer, Timing } from "./transport.js";
