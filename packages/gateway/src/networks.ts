import type { NetworkList } from "@berth/contracts";
import type { Request, Response } from "express";
import { principalOf } from "./auth.js";
import { nameFrom } from "./names.js";
import type { Services } from "./services.js";

/** `GET /v1/networks` */
export async function listNetworks(request: Request, response: Response, { functions }: Services): Promise<void> {
	const { project } = principalOf(request);
	response.json({ networks: await functions.networks.list(project) } satisfies NetworkList);
}

/** `PUT /v1/networks/{name}` */
export async function makeNetwork(request: Request, response: Response, { functions }: Services): Promise<void> {
	const { project } = principalOf(request);
	const name = nameFrom(request.params["name"]);
	response.status((await functions.networks.make(project, name)) ? 201 : 200).json({ name });
}

/** `DELETE /v1/networks/{name}` */
export async function removeNetwork(request: Request, response: Response, { functions }: Services): Promise<void> {
	const { project } = principalOf(request);
	await functions.networks.remove(project, nameFrom(request.params["name"]));
	response.status(204).end();
}
