import { BerthError } from "@berth/contracts";

/** The one sentence for a name that nobody deployed. */
export function functionNotFound(name: string): BerthError {
	return new BerthError("function_not_found", `there is no function ${JSON.stringify(name)}; GET /v1/functions lists those there are`);
}

/** The one sentence for a number that no version has, or has no more. */
export function versionNotFound(name: string, number: number): BerthError {
	return new BerthError("version_not_found", `${name} has no version ${number}; GET /v1/functions/${name}/versions lists those there are`);
}

/** The one sentence for a project that isn't there, and for one that is another key's. */
export function projectNotFound(name: string): BerthError {
	return new BerthError("project_not_found", `there is no project ${JSON.stringify(name.slice(0, 80))} for this key`);
}
