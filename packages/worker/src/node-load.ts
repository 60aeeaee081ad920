import { MIB, MOST_WARM, type NodeLoad } from "@berth/contracts";
import type { WorkerSource } from "@berth/queue";
import type { Pool } from "@berth/sandbox";

/** What this node holds now, as it says it with its lease. */
export function nodeLoadOf(pool: Pick<Pool, "stats" | "holdings">, source: Pick<WorkerSource, "totals">, mostRunning: number): NodeLoad {
	const { memoryBytes, memoryBudgetBytes } = pool.stats;
	const { sandboxes, versions } = pool.holdings;
	const { interactive, background } = source.totals();
	return {
		memoryMiB: Math.floor(memoryBudgetBytes / MIB),
		heldMiB: Math.ceil(memoryBytes / MIB),
		sandboxes,
		running: interactive.inHand + background.inHand,
		mostRunning,
		warm: versions.slice(0, MOST_WARM),
	};
}
