export { type Bases, type BasesOptions, prepareBases } from "./bases.js";
export type { BuildRun, BuildSandbox, BuildSandboxes, Respond } from "./build-sandbox.js";
export { type BuildResult, ImageBuilder, type ImageBuilderOptions } from "./image-builder.js";
export { imageLabels } from "./image-labels.js";
export { type ReadImage, readImage, readImageManifest, splitLayers } from "./image-reader.js";
export { imageTag, parseImageTag } from "./image-tag.js";
export { storeImage } from "./oci-image.js";
export type { PackageSources } from "./package-sources.js";
export { StackRemapper } from "./stack-remapper.js";
