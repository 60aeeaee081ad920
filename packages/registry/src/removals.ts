import { BerthError, type Digest } from "@berth/contracts";
import { guarded, type Redis } from "@berth/redis";
import { functionNotFound, versionNotFound } from "./absent.js";
import { keys, versionPrefix } from "./keys.js";
import { DELETE_FUNCTION, REMOVE_VERSION } from "./removal-scripts.js";

/** As `FunctionRegistry.deleteFunction`. */
export async function deleteFunction(redis: Redis, project: string, name: string): Promise<readonly Digest[] | undefined> {
	const [deleted, ...unused] = (await guarded(redis, `deleting ${name}`, () =>
		DELETE_FUNCTION.run(
			redis,
			[
				keys.names(project),
				keys.function(project, name),
				keys.numbers(project, name),
				keys.changes,
				keys.unfinished,
				keys.hooks(project, name),
				keys.schedules(project, name),
				keys.dueSchedules,
				keys.openSchedules,
				keys.heldLayers(project),
				keys.warm(project),
				keys.warmFunctions,
			],
			[name, versionPrefix(project, name), keys.sourceUsers("" as Digest), `${project}/${name}`, keys.hook(""), keys.schedule("")],
		),
	)) as [number, ...Digest[]];
	return deleted === 1 ? unused : undefined;
}

/** As `FunctionRegistry.removeVersion`. */
export async function removeVersion(redis: Redis, project: string, name: string, number: number): Promise<Digest | undefined> {
	const [word, ...rest] = (await guarded(redis, `removing ${name}:${number}`, () =>
		REMOVE_VERSION.run(
			redis,
			[keys.function(project, name), keys.numbers(project, name), keys.changes, keys.unfinished, keys.heldLayers(project)],
			[number, new Date().toISOString(), `${project}/${name}`, versionPrefix(project, name), keys.sourceUsers("" as Digest)],
		),
	)) as string[];
	if (word === "no_function") throw functionNotFound(name);
	if (word === "no_version") throw versionNotFound(name, number);
	if (word === "only") throw new BerthError("version_in_use", `${number} is the only version of ${name}: delete the function`);
	if (word === "in_use") throw versionInUse(name, number, rest.sort());
	return rest[0] as Digest | undefined;
}

function versionInUse(name: string, number: number, aliases: readonly string[]): BerthError {
	const detail = `version ${number} of ${name} is in use by ${aliases.join(" and ")}; move what leads there first`;
	return new BerthError("version_in_use", detail, { extra: { aliases } });
}
