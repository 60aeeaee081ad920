import { closeSync, openSync, writeSync } from "node:fs";
import type { SandboxCpus } from "@berth/contracts";

/** Whether all sandboxes of a node leave one CPU to the stack's own processes. */
export class SparedCpu {
	readonly #sandboxes = new Set<Cpus>();
	#isSpared = false;

	get isSpared(): boolean {
		return this.#isSpared;
	}

	spare(isSpared: boolean): void {
		this.#isSpared = isSpared;
		for (const each of this.#sandboxes) each.leave(isSpared);
	}

	/** One that has been booted, and until `remove` goes by what is said of all. */
	add(cpus: Cpus): void {
		this.#sandboxes.add(cpus);
		cpus.leave(this.#isSpared);
	}

	remove(cpus: Cpus): void {
		this.#sandboxes.delete(cpus);
		cpus.close();
	}
}

/** Which CPUs a sandbox has, through the one file of its cgroup that the launcher gives the worker for it. */
export class Cpus {
	readonly #lists: SandboxCpus;
	readonly #fd: number;
	#leaves: boolean;

	/** @param leaves whether it was booted on all but one. @throws Error when the file isn't ours to write */
	constructor(lists: SandboxCpus, leaves: boolean) {
		this.#lists = lists;
		this.#leaves = leaves;
		this.#fd = openSync(lists.file, "r+");
	}

	/** @param leaves whether it leaves one to others */
	leave(leaves: boolean): void {
		if (leaves === this.#leaves) return;
		this.#leaves = leaves;
		try {
			writeSync(this.#fd, leaves ? this.#lists.allButOne : this.#lists.all, 0);
		} catch (error) {
			// Its cgroup has just gone: who has the sandbox hears of that.
			if ((error as NodeJS.ErrnoException).code !== "ENODEV") throw error;
		}
	}

	close(): void {
		closeSync(this.#fd);
	}
}
