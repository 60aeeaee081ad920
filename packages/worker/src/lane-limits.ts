import type { LaneLimits } from "@berth/contracts";
import type { FunctionRegistry } from "@berth/registry";

/** What a function may have in the background: of the version that `live` leads to; while it is split, of the one with the largest share. */
export async function laneLimitsOf(
	functions: Pick<FunctionRegistry, "getFunction" | "getVersion">,
	project: string,
	name: string,
): Promise<LaneLimits | undefined> {
	const live = (await functions.getFunction(project, name))?.live;
	const manifest = live === undefined ? undefined : (await functions.getVersion(project, name, live))?.manifest;
	return manifest && { ...manifest.background, memoryMiB: manifest.memoryMiB };
}
