export type { LayerSource, SandboxEngine } from "./engine.js";
export { DockerEngine } from "./engines/docker/docker-engine.js";
export { OciEngine } from "./engines/oci/oci-engine.js";
export type { Joined } from "./joined.js";
export type { Lease } from "./lease.js";
export { Pool, type PoolOptions } from "./pool.js";
export type { Sandbox, SandboxResult, Specialisation } from "./sandbox.js";
export { SPECIALISATION } from "./specialisation.js";
export { SpecialiseError } from "./specialise-error.js";
