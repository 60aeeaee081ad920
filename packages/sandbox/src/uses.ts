import type { Manifest } from "@berth/contracts";

/** How many invocations a version's sandbox serves before it is thrown away. */
export function usesOf({ reuse }: Manifest): number {
	if (reuse === "version") return Number.POSITIVE_INFINITY;
	return reuse === "never" ? 1 : reuse;
}
