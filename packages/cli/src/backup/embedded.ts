import type { Settings } from "@berth/config";
import { CommandFailure, EXIT } from "../exit-codes.js";

/** @throws CommandFailure where functions are in a Redis of the operator's, or this isn't root */
export function requireEmbedded({ embedded }: Pick<Settings, "embedded">): void {
	if (process.getuid?.() !== 0)
		throw new CommandFailure(EXIT.failed, "only root reads and writes everything in a data directory: sudo berth …");
	if (embedded.durable) return;
	throw new CommandFailure(
		EXIT.failed,
		"BERTH_DURABLE_REDIS_URL names a Redis of yours: save that with its own tools, and the data directory's artifacts beside it",
	);
}
