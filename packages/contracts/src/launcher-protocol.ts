import type { FrameBounds } from "./framing.js";
import type { RuntimeClass, RuntimeClassReports } from "./runtime-class.js";
import type { NetworkReport, SandboxNetwork } from "./sandbox-network.js";
import type { StorageMount, StorageReport } from "./storage.js";
import type { Digest } from "./units.js";
import { KIB, MIB, MINUTE_MS } from "./units.js";
import type { WaivableLimit } from "./waivable-limit.js";

/** The launcher's verbs: frame types of a request; its answer has the same type and carries the request's `seq`. */
export const LAUNCHER_VERBS = {
	/** → HostReport */
	host: 1,
	/** LayerRequest → { present } */
	hasLayer: 2,
	/** ImportRequest + bytes, in order and one at a time per connection; unpacked when `last` is set. */
	importLayer: 3,
	/** BootRequest → BootAnswer */
	boot: 4,
	/** SpecialiseRequest → SpecialiseAnswer */
	specialise: 5,
	/** SandboxRequest → {}, when nothing of the sandbox runs any more. */
	kill: 6,
	/** SandboxRequest → {}: kills if needed, then removes mounts, cgroup and directory. */
	remove: 7,
	/** DropLayersRequest → { dropped }: removes layers that nothing mounts and nobody asked for of late. */
	dropLayers: 8,
	/** MakeVolumeRequest → MakeVolumeAnswer */
	makeVolume: 9,
	/** VolumeRequest → {}: takes it, with everything in it, from whatever has it mounted, and from the disk. */
	removeVolume: 10,
	/** Beside a Docker Engine alone: MountRequest → MountAnswer. `remove` takes it away; `host` → BesideDockerReport. */
	mount: 11,
} as const;
export type LauncherVerb = keyof typeof LAUNCHER_VERBS;

/** What went wrong with a request. */
export interface LauncherProblem {
	readonly seq: number;
	readonly message: string;
	/** Whether there is no space left where the launcher writes. */
	readonly diskFull?: boolean;
}

/** Answers that aren't one: what went wrong (`LauncherProblem`), and a sandbox's end, which nobody asked for (`SandboxExit`). */
export const LAUNCHER_PROBLEM = 100;
export const LAUNCHER_EXIT = 101;

/** How long an answer that a layer is there may be relied on. One that was asked for within twice that is never dropped. */
export const LAYER_LEASE_MS = 30 * MINUTE_MS;

export const LAUNCHER_BOUNDS: FrameBounds = { maxHeadBytes: 64 * KIB, maxBodyBytes: MIB };

export interface ProblemHead {
	readonly seq: number;
	/** One sentence: the step, the path, the system's error. */
	readonly message: string;
}

export interface LayerRequest {
	readonly digest: Digest;
}

export interface ImportRequest {
	readonly digest: Digest;
	readonly last: boolean;
}

export interface DropLayersRequest {
	/** Milliseconds since a layer was last asked for, brought or mounted; at least twice LAYER_LEASE_MS. */
	readonly unusedForMs: number;
}

export interface VolumeRequest {
	/** 32 hex digits. */
	readonly volume: string;
}

export interface MakeVolumeAnswer {
	/** Whether there was none. */
	readonly made: boolean;
	/** How large the one is that there is now. */
	readonly sizeMiB: number;
}

export interface MakeVolumeRequest extends VolumeRequest {
	readonly sizeMiB: number;
}

/** What a container is to have mounted. */
export interface MountRequest {
	readonly sandbox: string;
	/** First id of the sandbox's range on this host. */
	readonly uidBase: number;
	readonly storage: readonly StorageMount[];
}

export interface MountAnswer {
	/** Where each of them is on this host, in the request's order. */
	readonly paths: readonly string[];
}

export interface SandboxRequest {
	readonly sandbox: string;
}

/** The caps of one sandbox. */
export interface SandboxLimits {
	readonly memoryBytes: number;
	readonly cpuMilli: number;
	readonly pids: number;
	readonly tmpfsBytes: number;
	readonly tmpfsInodes: number;
}

/**
 * What a sandbox is booted as: `function` runs the agent, `build` the agent with the builder in it, `scripts` the same for packages'
 * own scripts: what is in its /tmp may be executed.
 */
export type SandboxKind = "function" | "build" | "scripts";

/** What init starts. V8's heap, old space and semi-space in MiB, is fixed for the sandbox's life. */
export type SandboxProgram =
	| { readonly language: "node"; readonly oldSpaceMiB: number; readonly semiSpaceMiB: number }
	| { readonly language: "python" }
	| { readonly language: "custom" };

export interface BootRequest {
	/** `sb_` and 26 characters. */
	readonly sandbox: string;
	/** Layers of the base, bottom first. */
	readonly base: readonly Digest[];
	readonly kind: SandboxKind;
	readonly program: SandboxProgram;
	/** What it is run by; absent: the node's OCI runtime. One with a class has `own`, no storage, and no network. */
	readonly runtimeClass?: RuntimeClass;
	readonly limits: SandboxLimits;
	/**
	 * The function's layers, bottom first, where they are in place from the boot on: such a sandbox is one version's, has its
	 * limits and its network from the start, and isn't specialised by the engine. Absent: they come with `specialise`.
	 */
	readonly own?: readonly Digest[];
	/** Whether these are a root file system, a tenant's image: the base is at SANDBOX_PATHS.imageBase in it then. */
	readonly ownIsRoot?: boolean;
	/** Volumes and bind mounts of the function's, where its layers are there from the boot on, too. Absent: none. */
	readonly storage?: readonly StorageMount[];
	/** Whether it has all CPUs but one, until the worker says otherwise. Absent: all. */
	readonly leavesCpu?: boolean;
	/** What it is booted with: `host` is for good; `none` where its specialisation is to say. */
	readonly network: SandboxNetwork;
	/** Whose they are. */
	readonly of?: VersionImage;
}

/** The version that an image is of, and the digest of its manifest. */
export interface VersionImage {
	readonly project: string;
	readonly function: string;
	readonly version: number;
	readonly image: Digest;
}

/** Where the worker reads what a sandbox prints and uses. */
export interface BootAnswer {
	/** FIFOs that the worker opens for reading. */
	readonly stdout: string;
	readonly stderr: string;
	readonly cgroup: CgroupPaths;
	/** The file of its cgroup that freezes it, which the worker may write. */
	readonly freezer: string;
	/** The file of its cgroup that says what it weighs among sandboxes that want the CPU, which the worker may write. */
	readonly weight: string;
	/** Absent where it has no choice of CPUs: there is only one, or no controller. */
	readonly cpus?: SandboxCpus;
	/** What it is known by to the worker, where that listens for it. */
	readonly address?: string;
}

/** The file of a sandbox's cgroup that says which CPUs it has, which the worker may write, and what it may write there. */
export interface SandboxCpus {
	readonly file: string;
	readonly all: string;
	readonly allButOne: string;
}

/** Directories of a sandbox's cgroup, all the same one on cgroup v2. */
export interface CgroupPaths {
	readonly version: 1 | 2;
	readonly memory: string;
	readonly cpu: string;
	readonly pids: string;
}

export interface SpecialiseRequest {
	readonly sandbox: string;
	/** The function's layers, bottom first. */
	readonly layers: readonly Digest[];
	readonly limits: SandboxLimits;
	readonly network: SandboxNetwork;
	/** Absent: none. */
	readonly storage?: readonly StorageMount[];
}

export interface SpecialiseAnswer {
	/** What it is known by to the worker, where that listens for it. */
	readonly address?: string;
}

export interface SandboxExit {
	readonly sandbox: string;
	/** Exit code of the agent as init reports it: 128 + signal for a signal. */
	readonly code: number;
	/** The most that one of its processes had resident, files included; what the kernel still knows when it has ended (getrusage(2)). */
	readonly maxResidentBytes: number;
	/** Whether the engine says that the kernel killed something of it for memory. */
	readonly oomKilled?: boolean;
}

/** What the host can do, as probed when the launcher starts. */
export interface HostReport {
	readonly cgroups: "v1" | "v2" | "hybrid";
	readonly ociRuntime: string;
	readonly ociRuntimeVersion: string;
	readonly runtimeClasses: RuntimeClassReports;
	readonly networks: NetworkReport;
	readonly storage: StorageReport;
	/** Limits that it can't enforce, which its operator does without. Absent: none. */
	readonly unenforced?: readonly WaivableLimit[];
}

/** The same of a launcher beside a Docker Engine, which knows the rest. */
export type BesideDockerReport = Pick<HostReport, "networks" | "storage">;
