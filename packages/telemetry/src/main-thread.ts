import { closeSync, openSync, readSync } from "node:fs";

const NS_PER_MS = 1e6;
const LINE = Buffer.allocUnsafe(128);

/** What this process's main thread did with the time since it was looked at last, milliseconds. */
export interface ThreadTimes {
	readonly elapsedMs: number;
	/** On a CPU. */
	readonly ranMs: number;
	/** Ready to run, while others had the CPUs. */
	readonly waitedMs: number;
}

/** This process's main thread as the kernel's scheduler sees it (/proc/self/schedstat). A kernel that doesn't count (CONFIG_SCHED_INFO) says that it never ran nor waited. */
export class MainThread {
	readonly #fd = openStatistics();
	#atMs = performance.now();
	#total = this.#read();

	/** Since the last time, or since it was made. */
	times(): ThreadTimes {
		const [atMs, total, before] = [performance.now(), this.#read(), this.#total];
		const elapsedMs = atMs - this.#atMs;
		[this.#atMs, this.#total] = [atMs, total];
		return { elapsedMs, ranMs: total.ranMs - before.ranMs, waitedMs: total.waitedMs - before.waitedMs };
	}

	close(): void {
		if (this.#fd !== undefined) closeSync(this.#fd);
	}

	#read(): Pick<ThreadTimes, "ranMs" | "waitedMs"> {
		if (this.#fd === undefined) return { ranMs: 0, waitedMs: 0 };
		const [ran, waited] = LINE.toString("latin1", 0, readSync(this.#fd, LINE, 0, LINE.length, 0)).split(" ");
		return { ranMs: Number(ran) / NS_PER_MS, waitedMs: Number(waited) / NS_PER_MS };
	}
}

function openStatistics(): number | undefined {
	try {
		return openSync("/proc/self/schedstat", "r");
	} catch (error) {
		if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
		throw error;
	}
}
