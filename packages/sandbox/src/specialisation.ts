import type { Manifest } from "@berth/contracts";

/** Whether a prewarmed sandbox takes a manifest field as it is, or a sandbox is booted for it. */
type Binding = "specialised" | "boot" | "policy";

/**
 * Every field of a manifest: `specialised` (given to a prewarmed sandbox), `boot` (fixed when Node
 * starts: part of the key of the pool), `policy` (the platform's business; the sandbox never sees it).
 * A test holds the keys against the schema, and docs/ARCHITECTURE.md prints the table.
 */
export const SPECIALISATION: Readonly<Record<keyof Manifest, { readonly binding: Binding; readonly how: string }>> = {
	runtime: { binding: "boot", how: "the base's layers; one pool for each" },
	runtimeClass: { binding: "boot", how: "what runs it; booted with its layers, so none is kept ready" },
	nodeSelector: { binding: "policy", how: "which nodes are given it" },
	entry: { binding: "policy", how: "decided by the build" },
	dockerfile: { binding: "policy", how: "decided by the build" },
	external: { binding: "policy", how: "decided by the build" },
	scripts: { binding: "policy", how: "decided by the build" },
	memoryMiB: { binding: "specialised", how: "cgroup limit; V8's heap comes with the memory class, one pool for each" },
	cpuMilli: { binding: "specialised", how: "cgroup quota" },
	timeoutMs: { binding: "policy", how: "the worker's clock" },
	tmpfsMiB: { binding: "specialised", how: "remount of the sandbox's tmpfs" },
	streamMiB: { binding: "policy", how: "the worker counts, and tells the agent" },
	concurrency: { binding: "policy", how: "the pool's count per version" },
	pool: { binding: "policy", how: "how many of them it starts before anybody asks" },
	network: { binding: "specialised", how: "a wire to the network namespace that it has; only `host` is booted" },
	volumes: { binding: "specialised", how: "mounted where the sandbox has a slave mount since its boot" },
	binds: { binding: "specialised", how: "the same" },
	env: { binding: "specialised", how: "over the agent's socket" },
	secrets: {
		binding: "specialised",
		how: "the same; another value, and its warm sandboxes are replaced. One for a host stays with the worker",
	},
	reuse: { binding: "policy", how: "the pool retires after so many invocations" },
	scratch: { binding: "specialised", how: "the agent empties /tmp between invocations" },
	public: { binding: "policy", how: "the gateway's business" },
	cors: { binding: "policy", how: "the gateway's business" },
	background: { binding: "policy", how: "the gateway's and the queue's business" },
	description: { binding: "policy", how: "for people" },
};
