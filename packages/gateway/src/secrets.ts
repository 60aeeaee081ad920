import { BerthError, headerValueFault, KIB, type Manifest, SECRET_LIMITS, type SecretList, secretInputSchema } from "@berth/contracts";
import type { OpenSecret, Secrets } from "@berth/registry";
import type { Request, Response } from "express";
import { principalOf } from "./auth.js";
import { parseJson } from "./json.js";
import { secretNameFrom } from "./names.js";
import { wrongField } from "./permitted.js";
import type { Services } from "./services.js";
import { validate } from "./validation.js";

/** A value whose every character is escaped. */
const BODY_BYTES = 6 * SECRET_LIMITS.valueBytes + KIB;
const MOST_FIELDS = 10;

/** `GET /v1/secrets` */
export async function listSecrets(request: Request, response: Response, { secrets }: Services): Promise<void> {
	const { project } = principalOf(request);
	response.json({ secrets: await secrets.list(project) } satisfies SecretList);
}

/** `PUT /v1/secrets/{name}` */
export async function setSecret(request: Request, response: Response, { secrets, bodies }: Services): Promise<void> {
	const { project } = principalOf(request);
	const name = secretNameFrom(request.params["name"]);
	const body = bodyOf(await bodies.read(request, BODY_BYTES));
	const { value } = validate(secretInputSchema, body, { code: "invalid_request", whole: "body" });
	const { isNew, ...secret } = await secrets.set(project, name, value);
	response.status(isNew ? 201 : 200).json(secret);
}

/** What is wrong with JSON is said by showing a piece of it, elsewhere. */
function bodyOf(bytes: Uint8Array): unknown {
	try {
		return parseJson(bytes, "the body", MOST_FIELDS);
	} catch (error) {
		if (!(error instanceof BerthError)) throw error;
		throw new BerthError("invalid_request", 'the body isn\'t JSON as in {"value": "…"}');
	}
}

/** A secret that is to be a header as it is now. One that isn't there is refused with the version. @throws BerthError invalid_manifest */
export async function refuseUnsendable(project: string, manifest: Pick<Manifest, "secrets">, secrets: Secrets): Promise<void> {
	for (const [at, one] of (manifest.secrets ?? []).entries()) {
		if (typeof one === "string") continue;
		const [open] = await secrets.values(project, [one.name]).catch(nothingIfAbsent);
		const fault = open && headerValueFault(open.value);
		if (fault === undefined) continue;
		throw wrongField(
			`secrets.${at}.name`,
			`${one.name} can't be the header ${one.header} of ${one.host}: ${fault}; set it to another value first`,
		);
	}
}

function nothingIfAbsent(error: unknown): readonly OpenSecret[] {
	if (error instanceof BerthError && error.code === "secret_unavailable") return [];
	throw error;
}

/** `DELETE /v1/secrets/{name}` */
export async function removeSecret(request: Request, response: Response, { secrets }: Services): Promise<void> {
	const { project } = principalOf(request);
	await secrets.remove(project, secretNameFrom(request.params["name"]));
	response.status(204).end();
}
