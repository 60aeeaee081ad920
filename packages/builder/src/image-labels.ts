import type { Version } from "@berth/contracts";

/**
 * What an image says about the function it is of, enough to make the version again from the store
 * alone. Neither project, name nor number: those are its name in the index, and an identical deploy
 * is to have an identical digest.
 */
export function imageLabels({ manifest, source }: Pick<Version, "manifest" | "source">, entry: string): Readonly<Record<string, string>> {
	return {
		"dev.berth.entry": entry,
		"dev.berth.manifest": sortedJson(manifest),
		"dev.berth.source": sortedJson(source),
	};
}

/** JSON whose keys are in order at every depth. */
function sortedJson(value: unknown): string {
	return JSON.stringify(value, (_key, inner: unknown) => {
		if (typeof inner !== "object" || inner === null || Array.isArray(inner)) return inner;
		return Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)));
	});
}
