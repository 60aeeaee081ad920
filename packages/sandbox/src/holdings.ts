import type { Sandbox } from "./sandbox.js";

/** What a pool has, at a glance. */
export interface Holdings {
	readonly sandboxes: number;
	/** Keys of versions that there are sandboxes of, at work or idle; those at work first, then the last that were used. */
	readonly versions: readonly string[];
}

/** Looks at states alone: nothing is read of the kernel. */
export function holdingsOf(all: readonly Pick<Sandbox, "state" | "specialisation" | "idleSinceMs">[]): Holdings {
	const usedAtMs = new Map<string, number>();
	for (const { state, specialisation, idleSinceMs } of all) {
		if (specialisation === undefined || state === "retiring") continue;
		const atMs = state === "busy" || state === "specialising" ? Number.MAX_VALUE : idleSinceMs;
		usedAtMs.set(specialisation.key, Math.max(atMs, usedAtMs.get(specialisation.key) ?? 0));
	}
	const versions = [...usedAtMs].sort(([, a], [, b]) => b - a).map(([key]) => key);
	return { sandboxes: all.length, versions };
}
