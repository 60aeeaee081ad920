import type { MemoryClass } from "@berth/contracts";

/** V8's heap flags, MiB. They are fixed when Node boots, so they belong to the memory class. */
export interface HeapFlags {
	readonly oldSpaceMiB: number;
	readonly semiSpaceMiB: number;
}

/** What Node, the agent and the function's buffers need beside V8's heap, MiB. */
const BESIDE_HEAP_MIB = 48;

/**
 * The heap of a memory class: what is left of it beside the heap, at most 80 %. The young generation
 * grows to three semi-spaces and is taken out of the same budget, so that a healthy function fills
 * its heap before the kernel kills it (measured: a 128 MiB function with a small live set and heavy
 * garbage stays below its limit; docs/ARCHITECTURE.md).
 */
export function heapOf(memoryClass: MemoryClass): HeapFlags {
	const semiSpaceMiB = memoryClass <= 64 ? 1 : memoryClass <= 256 ? 4 : 16;
	const total = Math.min(Math.max(memoryClass - BESIDE_HEAP_MIB, 20), Math.floor(memoryClass * 0.8));
	return { oldSpaceMiB: Math.max(16, total - 3 * semiSpaceMiB), semiSpaceMiB };
}

/** Bytes the whole heap may reach: the evidence that an abort was V8 running out of it. */
export function heapBytes({ oldSpaceMiB }: HeapFlags): number {
	return oldSpaceMiB * 1024 * 1024;
}
