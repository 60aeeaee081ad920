import { type ApiKeyList, apiKeyInputSchema, BerthError, HEADERS, type NewApiKey } from "@berth/contracts";
import type { Request, Response } from "express";
import { sayAbout } from "./audit.js";
import { principalOf } from "./auth.js";
import { parseJson } from "./json.js";
import { nameFrom } from "./names.js";
import type { Services } from "./services.js";
import { validate } from "./validation.js";

const BODY_BYTES = 4096;

/** `GET /v1/keys` */
export async function listKeys(request: Request, response: Response, { keys }: Services): Promise<void> {
	const { project } = principalOf(request);
	response.json({ keys: await keys.list(project) } satisfies ApiKeyList);
}

/** `POST /v1/keys` */
export async function createKey(request: Request, response: Response, { keys, bodies }: Services): Promise<void> {
	const { project } = principalOf(request);
	if (request.headers[HEADERS.idempotencyKey] !== undefined) {
		const message = "isn't taken here, as an API key is kept nowhere to be shown again; its name is taken once, which tells a repetition";
		throw new BerthError("invalid_request", `${HEADERS.idempotencyKey}: ${message}`, {
			issues: [{ field: HEADERS.idempotencyKey, message }],
		});
	}
	const value = parseJson(await bodies.read(request, BODY_BYTES), "the body");
	const input = validate(apiKeyInputSchema, value, { code: "invalid_request", whole: "body" });
	sayAbout(request, `${input.name}: ${input.scopes.join(", ")}`);
	response.setHeader("cache-control", "no-store");
	response.status(201).json((await keys.create(project, input)) satisfies NewApiKey);
}

/** `DELETE /v1/keys/{name}` */
export async function revokeKey(request: Request, response: Response, { keys }: Services): Promise<void> {
	const { project } = principalOf(request);
	await keys.revoke(project, nameFrom(request.params["name"]));
	response.status(204).end();
}
