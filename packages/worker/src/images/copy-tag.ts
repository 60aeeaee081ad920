import type { Version } from "@berth/contracts";

/** What the copy of a version's image is called in the image repository. A tag takes no slash; no project's name has a dot. */
export function copyTag({ project, function: name, number }: Pick<Version, "project" | "function" | "number">): string {
	return `${project}.${name}.${number}`;
}

/** Whether it is the copy of one of the project's, by its tag: a digest may be anybody's. */
export function isCopyOf(project: string, reference: string): boolean {
	return reference.startsWith(`${project}.`) && !reference.includes(":");
}
