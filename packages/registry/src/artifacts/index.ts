export type { BlobOrigin } from "./blob-origin.js";
export type { ScratchFile } from "./deposit.js";
export type { Descriptor } from "./descriptor.js";
export type { ImageStore, PutBlob } from "./image-store.js";
export type { KeyStore } from "./key-store.js";
export type { PayloadStore } from "./payload-store.js";
export type { SourceStore } from "./source-store.js";
export { type ArtifactStore, type ArtifactStoreOptions, abandonArtifacts, openArtifactStore, type StorageBudgets } from "./store.js";
