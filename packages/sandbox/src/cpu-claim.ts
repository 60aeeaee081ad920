import type { CgroupReader } from "./cgroup-reader.js";
import { CpuBucket } from "./cpu-bucket.js";
import type { ProjectLoads } from "./project-loads.js";
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
	readonly #loads: ProjectLoads;
	#project: string | undefined;
	/** Whether it counts among those of its project that use much. */
	#counts = false;

	constructor(cgroup: CgroupReader, weight: Weight, loads: ProjectLoads) {
		this.#cgroup = cgroup;
		this.#weight = weight;
		this.#loads = loads;
		this.#bucket = new CpuBucket(performance.now());
	}

	/** Between what it does: it has booted, or is about to load its function. What both take counts. */
	see(): void {
		this.#weigh(this.#cgroup.cpuUs(), performance.now());
	}

	/** Whose it is from now on. */
	belongTo(project: string): void {
		this.#project = project;
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
		this.#count(false);
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
		this.#count(isHeavy && this.#works);
		if (isHeavy) this.#weight.heavy(this.#counts ? this.#loads.of(this.#project as string) : 1);
		else this.#weight.light();
	}

	#count(counts: boolean): void {
		if (this.#project === undefined || counts === this.#counts) return;
		this.#counts = counts;
		if (counts) this.#loads.add(this.#project);
		else this.#loads.remove(this.#project);
	}
}
