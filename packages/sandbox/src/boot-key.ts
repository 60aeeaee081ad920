import {
	type Base,
	FIXED_LIMITS,
	type ImageReference,
	type Language,
	type Layer,
	LIMITS,
	languageOf,
	type Manifest,
	type MemoryClass,
	MIB,
	memoryClassOf,
	type RuntimeClass,
	type SandboxKind,
	type SandboxLimits,
	type SandboxNetwork,
	type SandboxProgram,
	type StorageMount,
	sandboxNetworkOf,
	storageOf,
	type VersionImage,
} from "@berth/contracts";
import { heapOf } from "./heap.js";

/** Which prewarmed sandboxes can become what: everything that is fixed when its program boots. */
export interface BootKey {
	readonly kind: SandboxKind;
	readonly base: Base;
	readonly language: Language;
	readonly memoryClass: MemoryClass;
	/** What it is run by; absent: the node's OCI runtime. */
	readonly runtimeClass?: RuntimeClass;
	/**
	 * The function's layers, where they have to be in place when it boots: only sandboxes of this very image are its, so
	 * none is kept ready that could become any. Absent: a booted sandbox is given them.
	 */
	readonly own?: readonly Layer[];
	/** Whether these are an image, its root. */
	readonly ownIsRoot?: boolean;
	/** Whose they are: an engine may show it. */
	readonly of?: VersionImage;
	/** What the function has at /mnt, where its layers are there, too. */
	readonly storage?: readonly StorageMount[];
	/** What it is on from its boot: the host's own network, or the function's where its layers are there, too; else it comes with its function. */
	readonly network: SandboxNetwork;
}

/** Builds want a bundler's memory, and room for a tree of dependencies with the archives that it comes from. */
const BUILD = { memoryMiB: 1024, cpuMilli: 2000, pids: 128, tmpfsMiB: 512, tmpfsInodes: 100_000 } as const;

/** The same text for equal keys. */
export function keyText({ kind, base, memoryClass, runtimeClass, network, own = [], storage = [] }: BootKey): string {
	const mounts = storage.map(({ name, volume = "", readOnly }) => `${name}=${volume}${readOnly ? ":ro" : ""}`);
	const under = runtimeClass === undefined ? [] : [runtimeClass];
	return [kind, base.digest, memoryClass, ...under, JSON.stringify(network), ...own.map(({ digest }) => digest), ...mounts].join(" ");
}

/** Nothing of Python, or of the bridge to a program, is fixed by its memory: one class, the default's, becomes what any version asks for. */
const ONE_CLASS = memoryClassOf(LIMITS.memoryMiB.default);

/** What a version's sandbox has to be booted as, by an engine that grafts or one that can't. @param of the version, for an engine to show */
export function versionKeyOf(
	{ base, layers, digest, isImage }: ImageReference,
	manifest: Pick<Manifest, "runtime" | "runtimeClass" | "memoryMiB" | "network" | "volumes" | "binds">,
	grafts: boolean,
	of?: Omit<VersionImage, "image">,
): BootKey {
	const key = bootKeyOf(base, manifest);
	const { runtimeClass } = manifest;
	// A root can't be changed when something runs in it; and what is mounted later never gets into gVisor.
	if (grafts && isImage !== true && runtimeClass === undefined) return key;
	const under = runtimeClass === undefined ? {} : { runtimeClass };
	const own = { own: layers, ownIsRoot: isImage === true, network: sandboxNetworkOf(manifest.network), ...under };
	if (of === undefined) return { ...key, ...own };
	const storage = storageOf(of.project, manifest);
	return { ...key, ...own, of: { ...of, image: digest }, ...(storage.length === 0 ? {} : { storage }) };
}

/** What sandboxes of a base are booted as which take any version of it. A version pins its base. */
export function bootKeyOf(base: Base, { runtime, memoryMiB, network }: Pick<Manifest, "runtime" | "memoryMiB" | "network">): BootKey {
	const language = languageOf(runtime);
	return {
		kind: "function",
		base,
		language,
		memoryClass: language === "node" ? memoryClassOf(memoryMiB) : ONE_CLASS,
		network: network === "host" ? "host" : "none",
	};
}

/** What is started in it, with V8's heap where there is one. */
export function programOf({ language, memoryClass }: BootKey): SandboxProgram {
	return language === "node" ? { language, ...heapOf(memoryClass) } : { language };
}

/** What a build's sandbox is, where it isn't one of those that are kept ready. */
export interface BuildBoot {
	/** Layers that it needs, where they can't be grafted later. */
	readonly own?: readonly Layer[];
	/** The base of one for packages' scripts. */
	readonly scripts?: Base;
}

export function buildKeyOf(base: Base, { own = [], scripts }: BuildBoot = {}): BootKey {
	const kind = scripts === undefined ? "build" : "scripts";
	const key: BootKey = { kind, base: scripts ?? base, language: "node", memoryClass: BUILD.memoryMiB, network: "none" };
	return own.length === 0 ? key : { ...key, own };
}

/** The caps that a version's manifest asks for. */
export function limitsOf({ memoryMiB, cpuMilli, tmpfsMiB }: Pick<Manifest, "memoryMiB" | "cpuMilli" | "tmpfsMiB">): SandboxLimits {
	return {
		memoryBytes: memoryMiB * MIB,
		cpuMilli,
		pids: FIXED_LIMITS.pids,
		tmpfsBytes: tmpfsMiB * MIB,
		tmpfsInodes: FIXED_LIMITS.tmpfsInodes,
	};
}

/** The caps that a sandbox has until it knows its version. */
export function prewarmLimitsOf({ kind, memoryClass }: BootKey): SandboxLimits {
	if (kind !== "function") return { ...limitsOf(BUILD), pids: BUILD.pids, tmpfsInodes: BUILD.tmpfsInodes };
	return limitsOf({ memoryMiB: memoryClass, cpuMilli: LIMITS.cpuMilli.default, tmpfsMiB: LIMITS.tmpfsMiB.default });
}
