import type { Project, ProjectDetail, ProjectList, QuotaChanges } from "@berth/contracts";
import { ApiError } from "./errors.js";
import { problemIn, type Transport } from "./transport.js";

const JSON_TYPE = { "content-type": "application/json" };
const pathOf = (name: string) => `/v1/projects/${encodeURIComponent(name)}`;

/** Projects; all of it wants the operator's key, but for a look at the key's own. */
export function projectsOf(transport: Transport) {
	return {
		/** By name. */
		async projects(): Promise<readonly Project[]> {
			return (await transport.json<ProjectList>({ method: "GET", path: "/v1/projects" })).projects;
		},

		/** One project, with its quotas and what of them is used. @throws ApiError `project_not_found` */
		project(name: string): Promise<ProjectDetail> {
			return transport.json<ProjectDetail>({ method: "GET", path: pathOf(name) });
		},

		/** Sets what is named of a project's quotas; null is the default again. @throws ApiError `project_not_found`, `invalid_request` */
		setQuotas(name: string, changes: QuotaChanges): Promise<ProjectDetail> {
			return transport.json<ProjectDetail>({ method: "PATCH", path: pathOf(name), headers: JSON_TYPE, body: JSON.stringify(changes) });
		},

		/** Makes a project, unless there is one of that name. @returns whether there was none. @throws ApiError `invalid_name` */
		async makeProject(name: string): Promise<boolean> {
			const answer = await transport.raw({ method: "PUT", path: pathOf(name) });
			if (answer.status >= 400) throw new ApiError(problemIn(answer));
			return answer.status === 201;
		},

		/** Removes a project that has no functions, networks and volumes, with its API keys and secrets. @throws ApiError `project_not_found`, `project_in_use` */
		async removeProject(name: string): Promise<void> {
			await transport.json({ method: "DELETE", path: pathOf(name) });
		},
	};
}
