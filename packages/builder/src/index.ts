export { type Bases, type BasesOptions, prepareBases } from "./bases.js";
export type { BuildRun, BuildSandbox, BuildSandboxes, Respond } from "./build-sandbox.js";
export { type BuildResult, ImageBuilder, type ImageBuilderOptions } from "./image-builder.js";
export { StackRemapper } from "./stack-remapper.js";
