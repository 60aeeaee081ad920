import type { InvocationRequest, LaneLimits } from "@berth/contracts";
import type { FunctionRegistry } from "@berth/registry";
import { type NodeMeans, nodeLack } from "./node-means.js";
import type { ReadyVersions } from "./versions.js";

/** What a function may have in the background: of the version that `live` leads to; while it is split, of the one with the largest share. */
export async function laneLimitsOf(
	functions: Pick<FunctionRegistry, "getFunction" | "getVersion">,
	project: string,
	name: string,
	means: NodeMeans,
): Promise<LaneLimits | undefined> {
	const live = (await functions.getFunction(project, name))?.live;
	const manifest = live === undefined ? undefined : (await functions.getVersion(project, name, live))?.manifest;
	if (manifest === undefined) return undefined;
	return { ...manifest.background, memoryMiB: manifest.memoryMiB, isElsewhere: nodeLack(manifest, means) !== undefined };
}

/** What an invocation's version is run with that this node doesn't have. Of one that can't be read its attempt says why. */
export async function lackHere(
	versions: Pick<ReadyVersions, "get">,
	{ project, function: name, version }: InvocationRequest,
	means: NodeMeans,
): Promise<string | undefined> {
	const manifest = await versions.get(project, name, version).then(
		(found) => found.manifest,
		() => undefined,
	);
	return manifest && nodeLack(manifest, means);
}
