export type { RegistryAccess } from "./access.js";
export { type BlobDescriptor, type RemoteManifest, Repository } from "./repository.js";
export { tryRegistry } from "./try-registry.js";
