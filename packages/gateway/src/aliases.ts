import {
	type Alias,
	type AliasList,
	type AliasTarget,
	aliasInputSchema,
	BerthError,
	FIXED_LIMITS,
	type MovedAlias,
} from "@berth/contracts";
import type { Request, Response } from "express";
import { principalOf } from "./auth.js";
import { parseJson } from "./json.js";
import { aliasFrom, nameFrom } from "./names.js";
import type { Services } from "./services.js";
import { validate } from "./validation.js";
import { failingText } from "./waiting.js";

/** Fields of an alias, weights included, by far. */
const MOST_FIELDS = 100;
const EITHER = 'either weights, as in {"weights": {"3": 90, "4": 10}}, or {"follows": true}';

/** `GET /v1/functions/{name}/aliases` */
export async function listAliases(request: Request, response: Response, { functions }: Services): Promise<void> {
	const { project } = principalOf(request);
	response.json({ aliases: await functions.aliases.list(project, nameFrom(request.params["name"])) } satisfies AliasList);
}

/** `GET /v1/functions/{name}/aliases/{alias}` */
export async function getAlias(request: Request, response: Response, { functions }: Services): Promise<void> {
	const { project } = principalOf(request);
	response.json(await functions.aliases.get(project, nameFrom(request.params["name"]), aliasFrom(request.params["alias"])));
}

/** `PUT /v1/functions/{name}/aliases/{alias}` */
export async function setAlias(request: Request, response: Response, services: Services): Promise<void> {
	const { functions, bodies } = services;
	const { project } = principalOf(request);
	const [name, alias] = [nameFrom(request.params["name"]), aliasFrom(request.params["alias"])];
	const body = parseJson(await bodies.read(request, FIXED_LIMITS.bodyBytes), "the body", MOST_FIELDS);
	response.json(await warned({ project, name }, await functions.aliases.set(project, name, alias, targetOf(body)), services));
}

/** `DELETE /v1/functions/{name}/aliases/{alias}` */
export async function removeAlias(request: Request, response: Response, { functions }: Services): Promise<void> {
	const { project } = principalOf(request);
	await functions.aliases.remove(project, nameFrom(request.params["name"]), aliasFrom(request.params["alias"]));
	response.status(204).end();
}

/** `POST /v1/functions/{name}/aliases/{alias}/rollback` */
export async function rollBack(request: Request, response: Response, services: Services): Promise<void> {
	const { functions } = services;
	const { project } = principalOf(request);
	const [name, alias] = [nameFrom(request.params["name"]), aliasFrom(request.params["alias"])];
	response.json(await warned({ project, name }, await functions.aliases.rollBack(project, name, alias), services));
}

/** It is moved all the same: with what its versions are known for. */
async function warned(
	{ project, name }: { readonly project: string; readonly name: string },
	alias: Alias,
	{ crashLoops }: Pick<Services, "crashLoops">,
): Promise<MovedAlias> {
	const found = await Promise.all(
		Object.keys(alias.weights).map(async (number) => {
			const loop = await crashLoops.find({ project, function: name, version: Number(number) });
			return loop === undefined ? [] : [failingText(Number(number), loop)];
		}),
	);
	const warnings = found.flat();
	return warnings.length === 0 ? alias : { ...alias, warnings };
}

function targetOf(body: unknown): AliasTarget {
	const { weights, follows } = validate(aliasInputSchema, body, { code: "invalid_request", whole: "body" });
	if ((weights === undefined) === (follows === undefined)) {
		throw new BerthError("invalid_request", `body: ${EITHER}`, { issues: [{ field: "body", message: EITHER }] });
	}
	return weights === undefined ? { follows: true } : { weights };
}
