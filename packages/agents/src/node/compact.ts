import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { COMPACTION } from "@berth/contracts/agent";

type Collect = (options: { readonly type: "major"; readonly execution: "sync"; readonly flavor: "last-resort" }) => void;

let collect: Collect | undefined;

/**
 * Gives back what the heap doesn't need any more, the room of the young generation too: a sandbox
 * that waits costs its node memory. The flag is taken back, since a code cache is only good for the
 * flags that it was made under.
 */
export function compactHeap(): void {
	if (collect === undefined) {
		setFlagsFromString("--expose-gc");
		collect = runInNewContext("gc") as Collect;
		setFlagsFromString("--no-expose-gc");
	}
	collect({ type: "major", execution: "sync", flavor: "last-resort" });
}

/** Compacts the heap at rest, once in a while. */
export class IdleCompaction {
	#since = 0;
	#timer: NodeJS.Timeout | undefined;

	/** An invocation has begun: not now. */
	begun(): void {
		this.#since++;
		clearTimeout(this.#timer);
	}

	/** It is over, and perhaps the sandbox comes to rest. */
	ended(): void {
		if (this.#since < COMPACTION.invocations) return;
		this.#timer = setTimeout(() => {
			this.#since = 0;
			compactHeap();
		}, COMPACTION.idleMs);
		this.#timer.unref();
	}
}
