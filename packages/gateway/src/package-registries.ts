import { BerthError, type PackageRegistryList, packageRegistryInputSchema } from "@berth/contracts";
import type { Request, Response } from "express";
import { principalOf } from "./auth.js";
import { parseJson } from "./json.js";
import type { Services } from "./services.js";
import { validate } from "./validation.js";

/** Scopes, and a login. */
const BODY_BYTES = 32 * 1024;
const MOST_FIELDS = 100;

/** `GET /v1/registries` */
export async function listPackageRegistries(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const registries = await services.packageRegistries.list(project);
	response.json({ registries, allowed: services.packageHosts } satisfies PackageRegistryList);
}

/** `PUT /v1/registries/{host}` */
export async function setPackageRegistry(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const host = hostFrom(request.params["host"], services);
	const value = parseJson(await services.bodies.read(request, BODY_BYTES), "the body", MOST_FIELDS);
	const input = validate(packageRegistryInputSchema, value, { code: "invalid_request", whole: "body" });
	if ((input.username === undefined) !== (input.password === undefined))
		throw wrong("password", "username and password go together; a token stands alone");
	if (input.token !== undefined && input.username !== undefined) throw wrong("token", "a token, or a username and a password: not both");
	response.json(await services.packageRegistries.set(project, host, input));
}

/** `DELETE /v1/registries/{host}` */
export async function removePackageRegistry(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const host = String(request.params["host"]).toLowerCase();
	if (!(await services.packageRegistries.remove(project, host)))
		throw new BerthError(
			"not_found",
			`${JSON.stringify(host.slice(0, 100))} is no package registry of this project; GET /v1/registries lists them`,
		);
	response.status(204).end();
}

/** Only where the operator allows it: the worker sends requests there, from within the operator's network. */
function hostFrom(text: unknown, { packageHosts }: Services): string {
	const host = String(text).toLowerCase();
	if (packageHosts.includes(host)) return host;
	throw wrong(
		"host",
		`one of this installation's package registries: ${packageHosts.join(", ")}; the operator lists others in BERTH_PACKAGE_REGISTRIES and BERTH_PYPI_INDEXES`,
	);
}

function wrong(field: string, message: string): BerthError {
	return new BerthError("invalid_request", `${field}: ${message}`, { issues: [{ field, message }] });
}
