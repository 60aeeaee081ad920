import type { ChildProcess } from "node:child_process";

/** Processes that this one runs and waits for: who reaps everything else has to leave them alone. */
export class Children {
	readonly #running = new Set<number>();

	has(pid: number): boolean {
		return this.#running.has(pid);
	}

	/** Its exit code; 128 when a signal ended it. @throws Error when it can't be started */
	async exitOf(child: ChildProcess): Promise<number> {
		const { pid } = child;
		if (pid !== undefined) this.#running.add(pid);
		try {
			return await new Promise<number>((resolve, reject) => {
				child.once("error", reject);
				child.once("close", (status, signal) => resolve(status ?? (signal === null ? 1 : 128)));
			});
		} finally {
			if (pid !== undefined) this.#running.delete(pid);
		}
	}
}
