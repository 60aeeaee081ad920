import type { Project, ProjectList } from "@berth/contracts";
import type { Transport } from "./transport.js";

const pathOf = (name: string) => `/v1/projects/${encodeURIComponent(name)}`;

/** Projects; all of it wants the operator's key. */
export function projectsOf(transport: Transport) {
	return {
		/** By name. */
		async projects(): Promise<readonly Project[]> {
			return (await transport.json<ProjectList>({ method: "GET", path: "/v1/projects" })).projects;
		},

		/** Makes a project, unless there is one of that name. @throws ApiError `invalid_name` */
		async makeProject(name: string): Promise<void> {
			await transport.json({ method: "PUT", path: pathOf(name) });
		},

		/** Removes a project that has no functions, networks and volumes, with its API keys. @throws ApiError `project_not_found`, `project_in_use` */
		async removeProject(name: string): Promise<void> {
			await transport.json({ method: "DELETE", path: pathOf(name) });
		},
	};
}
