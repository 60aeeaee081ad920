import { type Base, BerthError, canonicalJson, IMAGE_LABELS, type Manifest, type Version } from "@berth/contracts";
import type { Vault } from "@berth/registry";
import type { ReadImage } from "./image-reader.js";

/**
 * What an image says about the function it is of, enough to make the version again from the store
 * alone. Neither name nor number: those are its name in the index, and an identical deploy of a project's
 * is to have an identical digest. Its variables are sealed: an image may be read by whoever may read the registry it is pushed to.
 */
export function imageLabels(
	{ project, manifest, source }: Pick<Version, "project" | "manifest" | "source">,
	base: Base,
	entry: string,
	vault: Pick<Vault, "sealAlike">,
): Readonly<Record<string, string>> {
	const { env } = manifest;
	return {
		[IMAGE_LABELS.base]: base.digest,
		[IMAGE_LABELS.entry]: entry,
		[IMAGE_LABELS.manifest]: canonicalJson({ ...manifest, env: {} }),
		[IMAGE_LABELS.source]: canonicalJson(source),
		...(Object.keys(env).length === 0 ? {} : { [IMAGE_LABELS.env]: vault.sealAlike(canonicalJson(env), sealedAs(project)) }),
	};
}

/** The manifest that an image was made with. What another stack, or another project, sealed isn't opened: the variables are missing then. */
export function labelledManifest(
	{ manifest, sealedEnv }: Pick<ReadImage, "manifest" | "sealedEnv">,
	project: string,
	vault: Pick<Vault, "open">,
): { readonly manifest: Manifest; readonly lacksEnv: boolean } {
	if (sealedEnv === undefined) return { manifest, lacksEnv: false };
	try {
		return { manifest: { ...manifest, env: JSON.parse(vault.open(sealedEnv, sealedAs(project))) as Manifest["env"] }, lacksEnv: false };
	} catch (error) {
		if (!(error instanceof BerthError)) throw error;
		return { manifest, lacksEnv: true };
	}
}

/** A project's alone: its text in a label of another's image opens nothing. */
function sealedAs(project: string): string {
	return `${project}/image/env`;
}
