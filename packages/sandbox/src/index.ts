export type { LayerSource, SandboxEngine } from "./engine.js";
export { OciEngine } from "./engines/oci/oci-engine.js";
export type { Lease } from "./lease.js";
export { Pool, type PoolOptions } from "./pool.js";
export { Sandbox, type SandboxResult, type Specialisation, SpecialiseError } from "./sandbox.js";
export { SPECIALISATION } from "./specialisation.js";
