import type { CgroupReader } from "./cgroup-reader.js";
import { BOOT_SHARE } from "./container-spec.js";
import { CpuBucket } from "./cpu-bucket.js";
import type { CpuShares, Use } from "./cpu-shares.js";
import type { Weight } from "./weight.js";

/** A run that lasts so long is looked at, and from then on so often, milliseconds. */
const FIRST_LOOK_MS = 20;
const NEXT_LOOK_MS = 100;

/**
 * The claim of a sandbox to the CPU: it comes before those that use much as long as it uses little, and shares with its project's others when it
 * uses much. A short run costs it no more than the arithmetic at its beginning; one that lasts is looked at meanwhile.
 */
export class CpuClaim {
	readonly #cgroup: CgroupReader;
	readonly #weight: Weight;
	readonly #bucket: CpuBucket;
	/** The kernel's counter when it was last looked at. */
	#cpuUs = 0;
	#beganMs = 0;
	#works = false;
	#timer: NodeJS.Timeout | undefined;
	readonly #shares: CpuShares;
	#project: string | undefined;
	/** As which it counts now: as one that uses little, or much; undefined while nothing of it goes on. */
	#counts: Use | undefined;

	constructor(cgroup: CgroupReader, weight: Weight, shares: CpuShares) {
		this.#cgroup = cgroup;
		this.#weight = weight;
		this.#shares = shares;
		this.#bucket = new CpuBucket(performance.now());
	}

	/** It has booted: what that took counts. */
	see(): void {
		this.#weigh(this.#cgroup.cpuUs(), performance.now());
	}

	/** It is this project's from now on, and loads its function: whoever computes meanwhile is looked at as in an attempt. */
	loads(project: string): void {
		this.#project = project;
		this.begin(this.#cgroup.cpuUs());
	}

	/** An attempt begins. @param cpuUs what its cgroup has used until now */
	begin(cpuUs: number): void {
		this.#works = true;
		this.#beganMs = performance.now();
		this.#weigh(cpuUs, this.#beganMs);
		// Used again and again it keeps its timer, which then finds that it came too early.
		if (this.#timer === undefined) this.#lookIn(FIRST_LOOK_MS);
	}

	/** Nothing of an attempt goes on any more. */
	rest(): void {
		this.#works = false;
		this.#count(undefined);
	}

	close(): void {
		this.rest();
		clearTimeout(this.#timer);
		this.#weight.close();
	}

	#lookIn(ms: number): void {
		this.#timer = setTimeout(() => this.#look(), ms).unref();
	}

	#look(): void {
		this.#timer = undefined;
		if (!this.#works) return;
		const now = performance.now();
		const ranMs = now - this.#beganMs;
		if (ranMs < FIRST_LOOK_MS - 1) {
			this.#lookIn(FIRST_LOOK_MS - ranMs);
			return;
		}
		try {
			this.#weigh(this.#cgroup.cpuUs(), now);
		} catch (error) {
			// Its cgroup went at this moment: whoever waits for its attempt hears of that.
			if (!["ENODEV", "ENOENT"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
			return;
		}
		this.#lookIn(NEXT_LOOK_MS);
	}

	#weigh(cpuUs: number, nowMs: number): void {
		const isHeavy = this.#bucket.take(cpuUs - this.#cpuUs, nowMs);
		this.#cpuUs = cpuUs;
		if (this.#works) this.#count(isHeavy ? "heavy" : "light");
		// One that boots is nobody's yet.
		this.#weight.set(!isHeavy ? this.#shares.light : this.#project === undefined ? BOOT_SHARE : this.#shares.heavy(this.#project));
	}

	#count(as: Use | undefined): void {
		if (as === this.#counts) return;
		// What builds is nobody's.
		if (this.#project === undefined) return;
		if (this.#counts !== undefined) this.#shares.remove(this.#project, this.#counts);
		if (as !== undefined) this.#shares.add(this.#project, as);
		this.#counts = as;
	}
}
