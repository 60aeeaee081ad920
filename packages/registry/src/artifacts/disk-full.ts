import { BerthError } from "@berth/contracts";

/** What a write failed with, as it is told: a full disk has a code of its own, which says that waiting may help. */
export function writeError(error: unknown): unknown {
	if (!["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException).code ?? "")) return error;
	return new BerthError("storage_full", "the disk of the artifact store is full", { cause: error });
}
