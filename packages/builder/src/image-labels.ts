import { canonicalJson, type Version } from "@berth/contracts";

/**
 * What an image says about the function it is of, enough to make the version again from the store
 * alone. Neither project, name nor number: those are its name in the index, and an identical deploy
 * is to have an identical digest.
 */
export function imageLabels({ manifest, source }: Pick<Version, "manifest" | "source">, entry: string): Readonly<Record<string, string>> {
	return {
		"dev.berth.entry": entry,
		"dev.berth.manifest": canonicalJson(manifest),
		"dev.berth.source": canonicalJson(source),
	};
}
