import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { COMPACTION_IDLE_MS } from "@berth/contracts/agent";

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

/** Compacts the heap at rest, when it is asked to. */
export class IdleCompaction {
	#timer: NodeJS.Timeout | undefined;

	/** An invocation has begun: not now. */
	begun(): void {
		clearTimeout(this.#timer);
	}

	/** One that said so is over, and perhaps the sandbox comes to rest. */
	ended(): void {
		this.#timer = setTimeout(compactHeap, COMPACTION_IDLE_MS);
		this.#timer.unref();
	}
}
