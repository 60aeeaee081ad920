import type { Version } from "@berth/contracts";

const TAG = /^([a-z][a-z0-9-]*)\/([a-z][a-z0-9-]*):([1-9]\d{0,8})$/;
const BASES = "base";

/** `default/hello:3`. A name of an image, not a part of it: the same content has the same digest under each. */
export function imageTag({ project, function: name, number }: Pick<Version, "project" | "function" | "number">): string {
	return `${project}/${name}:${number}`;
}

/** Whose image it is; undefined for one of a base. */
export function parseImageTag(tag: string): Pick<Version, "project" | "function" | "number"> | undefined {
	const [, project = "", name = "", number = ""] = TAG.exec(tag) ?? [];
	return project === "" || project === BASES ? undefined : { project, function: name, number: Number(number) };
}
