import type { LimitHit, SandboxLimits, Usage } from "@berth/contracts";
import type { CgroupReader } from "./cgroup-reader.js";

/** Scratch is read from memory.stat, which the kernel has to add up: at most this often, milliseconds. */
const SCRATCH_SAMPLE_MS = 50;
/** Below this share of its limit a sandbox's peak says that nothing was killed for memory. */
const NEAR_LIMIT = 0.95;

/** What one attempt used, and which caps it touched: differences of the cgroup's counters. */
export interface Reading {
	readonly usage: Usage;
	readonly limitsHit: readonly LimitHit[];
}

/** Reads a sandbox's usage, attempt by attempt. */
export class UsageMeter {
	readonly #cgroup: CgroupReader;
	readonly #seesInside: boolean;
	#cpuUs = 0;
	/** The kernel's counter when it was last looked at: nothing of a sandbox at rest raises it. */
	#pidsRefused = 0;
	#scratch = { atMs: Number.NEGATIVE_INFINITY, bytes: 0 };

	/** @param seesInside as of `Booted`; where it isn't, scratch counts as none, and its tmpfs alone says that it is full */
	constructor(cgroup: CgroupReader, seesInside = true) {
		this.#cgroup = cgroup;
		this.#seesInside = seesInside;
	}

	/** An attempt begins. @returns the CPU time that its cgroup has used until now, microseconds */
	begin(): number {
		this.#cpuUs = this.#cgroup.cpuUs();
		return this.#cpuUs;
	}

	/** The attempt is over. Its cgroup has to be there still. */
	end(limits: SandboxLimits): Reading {
		const cgroup = this.#cgroup;
		const peakMemoryBytes = cgroup.peakMemoryBytes();
		const usage = {
			cpuMs: Math.max(0, cgroup.cpuUs() - this.#cpuUs) / 1000,
			peakMemoryBytes,
			scratchBytes: this.#scratchBytes(),
		};
		const limitsHit: LimitHit[] = [];
		const pidsRefused = cgroup.pidsRefused();
		if (pidsRefused > this.#pidsRefused) limitsHit.push("pids");
		this.#pidsRefused = pidsRefused;
		if (peakMemoryBytes >= limits.memoryBytes * NEAR_LIMIT && cgroup.oomKills() > 0) limitsHit.push("memory");
		if (usage.scratchBytes >= limits.tmpfsBytes) limitsHit.push("scratch");
		return { usage, limitsHit };
	}

	#scratchBytes(): number {
		if (!this.#seesInside) return 0;
		const now = performance.now();
		if (now - this.#scratch.atMs > SCRATCH_SAMPLE_MS) this.#scratch = { atMs: now, bytes: this.#cgroup.scratchBytes() };
		return this.#scratch.bytes;
	}
}
