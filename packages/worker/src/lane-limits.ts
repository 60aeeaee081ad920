import { type InvocationRequest, type LaneLimits, type RuntimeClassReports, runtimeClassLack } from "@berth/contracts";
import type { FunctionRegistry } from "@berth/registry";
import type { ReadyVersions } from "./versions.js";

/** What a function may have in the background: of the version that `live` leads to; while it is split, of the one with the largest share. */
export async function laneLimitsOf(
	functions: Pick<FunctionRegistry, "getFunction" | "getVersion">,
	project: string,
	name: string,
	runtimeClasses: RuntimeClassReports,
): Promise<LaneLimits | undefined> {
	const live = (await functions.getFunction(project, name))?.live;
	const manifest = live === undefined ? undefined : (await functions.getVersion(project, name, live))?.manifest;
	if (manifest === undefined) return undefined;
	const isElsewhere = runtimeClassLack(manifest.runtimeClass, runtimeClasses) !== undefined;
	return { ...manifest.background, memoryMiB: manifest.memoryMiB, isElsewhere };
}

/** What an invocation's version is run under that this node doesn't have. Of one that can't be read its attempt says why. */
export async function lackHere(
	versions: Pick<ReadyVersions, "get">,
	{ project, function: name, version }: InvocationRequest,
	runtimeClasses: RuntimeClassReports,
): Promise<string | undefined> {
	const manifest = await versions.get(project, name, version).then(
		(found) => found.manifest,
		() => undefined,
	);
	const runtimeClass = manifest?.runtimeClass;
	return runtimeClassLack(runtimeClass, runtimeClasses) === undefined ? undefined : `the runtime class ${runtimeClass}`;
}
