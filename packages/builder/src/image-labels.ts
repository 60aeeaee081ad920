import { type Base, canonicalJson, IMAGE_LABELS, type Version } from "@berth/contracts";

/**
 * What an image says about the function it is of, enough to make the version again from the store
 * alone. Neither project, name nor number: those are its name in the index, and an identical deploy
 * is to have an identical digest.
 */
export function imageLabels(
	{ manifest, source }: Pick<Version, "manifest" | "source">,
	base: Base,
	entry: string,
): Readonly<Record<string, string>> {
	return {
		[IMAGE_LABELS.base]: base.digest,
		[IMAGE_LABELS.entry]: entry,
		[IMAGE_LABELS.manifest]: canonicalJson(manifest),
		[IMAGE_LABELS.source]: canonicalJson(source),
	};
}
