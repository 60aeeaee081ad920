import { DEFAULT_PROJECT } from "@berth/contracts";

/** How a command of ours begins that acts in a project. */
export function berthIn(project: string | undefined): string {
	return project === undefined || project === DEFAULT_PROJECT ? "berth" : `berth --project ${project}`;
}
