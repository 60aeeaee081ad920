import { BerthError, type BuildFailure, type Digest, IMAGE_LIMITS, parseImageEntries, SANDBOX_PATHS } from "@berth/contracts";
import type { ScratchFile } from "@berth/registry";
import { parsedJson } from "./parsed-json.js";
import { fitsLayer, fitsLink, type LayerEntry } from "./tar-writer.js";

/** What is read of an image that a registry has, before it is unpacked in a sandbox: the whole of it as a tar in OCI's layout, and its manifest's digest. */
export type FetchImage = (reference: string, project: string) => Promise<{ readonly archive: Uint8Array; readonly digest: Digest }>;

/** Takes the bytes that a build puts. @throws Error when there are more than an image may have */
export async function putImageBytes(spool: ScratchFile, bytes: Uint8Array): Promise<void> {
	if (spool.sizeBytes + bytes.byteLength > IMAGE_LIMITS.totalBytes) throw new Error("it puts more than an image may have");
	await spool.append(bytes);
}

/**
 * An image's tree, as a build gave it: names and what links lead to are the tenant's, and are looked at by nothing but the
 * container that has them as its root. @throws BerthError when it isn't a tree
 */
export function imageEntries(body: Uint8Array, spool: ScratchFile): readonly LayerEntry[] | BuildFailure {
	const index = parseImageEntries(parsedJson(body));
	if (index === undefined) throw new BerthError("build_platform_error", "The build gave no list of the image's files.");
	let at = 0;
	const entries = index.map((entry): LayerEntry => {
		const [path, kind] = entry;
		if (kind === "link") return { path, kind, target: entry[2] };
		if (kind === "directory") return path === "tmp" ? { path, kind, mode: 0o1777 } : { path, kind };
		const [, , sizeBytes, executable] = entry;
		const content = { file: spool.path, at, sizeBytes };
		at += sizeBytes;
		return { path, kind, executable, content };
	});
	if (at !== spool.sizeBytes) throw new BerthError("build_platform_error", "The image's files aren't as long as its list says.");
	const unfit = entries.find((entry) => !fitsLayer(entry.path) || (entry.kind === "link" && !fitsLink(entry.target)));
	return unfit === undefined ? entries : unfitting(unfit.path);
}

/** Where such a layer has how it is started. */
export const IMAGE_ENTRY = SANDBOX_PATHS.imageStart;

function unfitting(path: string): BuildFailure {
	const message = `${JSON.stringify(path)} in the image has a longer name, or is a link to a longer one, than a layer has room for (names of 100 bytes in directories of 155; links of 100).`;
	return { code: "image_rejected", phase: "layer", message, diagnostics: [] };
}
