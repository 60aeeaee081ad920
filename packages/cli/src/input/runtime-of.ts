import { basename } from "node:path";
import { DEFAULT_FILENAME, type ManifestInput } from "@berth/contracts";

/** What a source file's name says about its runtime; a manifest may say something else. */
export function runtimeOf(path: string): Pick<ManifestInput, "runtime"> {
	if (path.endsWith(".py")) return { runtime: "python3" };
	return basename(path) === DEFAULT_FILENAME.custom ? { runtime: "custom" } : {};
}
