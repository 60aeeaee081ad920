export { functionNotFound } from "./absent.js";
export { ApiKeys, type Principal } from "./api-keys.js";
export * from "./artifacts/index.js";
export type { BuildEnd } from "./build-states.js";
export { FunctionRegistry, type VersionName } from "./function-registry.js";
export type { FirstAnswer, StoredEvent } from "./hooks/hook-log.js";
export { Hooks, type OpenHook } from "./hooks/hooks.js";
export { PackageRegistries, type PackageRegistryAccess } from "./package-registries.js";
export { Vault } from "./vault.js";
