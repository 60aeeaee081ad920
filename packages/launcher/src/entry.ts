import type { Digest, SandboxLimits, SandboxNetwork, StorageMount } from "@berth/contracts";
import type { OciRuntime } from "./oci-runtime.js";

/** One sandbox as the launcher knows it. */
export interface Entry {
	readonly id: string;
	readonly directory: string;
	readonly uidBase: number;
	/** What runs it. */
	readonly runtime: OciRuntime;
	/** How its /tmp is mounted. */
	readonly tmpFlags: number;
	/** What it is connected to. */
	network: SandboxNetwork;
	limits: SandboxLimits;
	/** Pid of its init; undefined until the runtime has started it. */
	pid: number | undefined;
	/** The function's layers, from its boot or its specialisation on. */
	layers: readonly Digest[] | undefined;
	/** What it has, or is about to have, at /mnt. */
	readonly mounts: StorageMount[];
	/** Resolved when the runtime has started it, or failed to. */
	started: Promise<void>;
	removal: Promise<void> | undefined;
	/** Resolved when nothing of it runs any more. */
	readonly ended: PromiseWithResolvers<void>;
}
