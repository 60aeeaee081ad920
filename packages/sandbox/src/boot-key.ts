import {
	type Base,
	FIXED_LIMITS,
	LIMITS,
	type Manifest,
	type MemoryClass,
	MIB,
	memoryClassOf,
	type SandboxKind,
	type SandboxLimits,
} from "@berth/contracts";

/** Which prewarmed sandboxes can become what: everything that is fixed when Node boots. */
export interface BootKey {
	readonly kind: SandboxKind;
	readonly base: Base;
	readonly memoryClass: MemoryClass;
}

/** Builds want a bundler's memory, and room for a tree of dependencies with the archives that it comes from. */
const BUILD = { memoryMiB: 1024, cpuMilli: 2000, pids: 128, tmpfsMiB: 512, tmpfsInodes: 100_000 } as const;

/** The same text for equal keys. */
export function keyText({ kind, base, memoryClass }: BootKey): string {
	return `${kind} ${base.digest} ${memoryClass}`;
}

/** What a version's sandbox has to be booted as. A version pins its base. */
export function bootKeyOf(base: Base, { memoryMiB }: Pick<Manifest, "memoryMiB">): BootKey {
	return { kind: "function", base, memoryClass: memoryClassOf(memoryMiB) };
}

export function buildKeyOf(base: Base): BootKey {
	return { kind: "build", base, memoryClass: BUILD.memoryMiB };
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
	if (kind === "build") return { ...limitsOf(BUILD), pids: BUILD.pids, tmpfsInodes: BUILD.tmpfsInodes };
	return limitsOf({ memoryMiB: memoryClass, cpuMilli: LIMITS.cpuMilli.default, tmpfsMiB: LIMITS.tmpfsMiB.default });
}
