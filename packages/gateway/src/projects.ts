import type { ProjectList } from "@berth/contracts";
import type { Request, Response } from "express";
import { nameFrom } from "./names.js";
import type { Services } from "./services.js";

/** `GET /v1/projects` */
export async function listProjects(_request: Request, response: Response, { keys }: Services): Promise<void> {
	response.json({ projects: await keys.projects.list() } satisfies ProjectList);
}

/** `PUT /v1/projects/{name}` */
export async function makeProject(request: Request, response: Response, { keys }: Services): Promise<void> {
	const name = nameFrom(request.params["name"]);
	response.status((await keys.projects.make(name)) ? 201 : 200).json({ name });
}

/** `DELETE /v1/projects/{name}` */
export async function removeProject(request: Request, response: Response, { keys }: Services): Promise<void> {
	await keys.projects.remove(nameFrom(request.params["name"]));
	response.status(204).end();
}
