import { randomBytes } from "node:crypto";
import {
	BerthError,
	type HookList,
	type HookWithSecret,
	hookChangesSchema,
	hookInputSchema,
	rotationSchema,
	type SchemeName,
	type SchemeSettings,
	schemeOf,
} from "@berth/contracts";
import { functionNotFound, type OpenHook } from "@berth/registry";
import type { Request, Response } from "express";
import { sayAbout } from "../audit.js";
import { principalOf } from "../auth.js";
import { parseJson } from "../json.js";
import { requireAlias } from "../known-alias.js";
import { nameFrom } from "../names.js";
import type { Services } from "../services.js";
import { validate } from "../validation.js";

const BODY_BYTES = 64 * 1024;
const MOST_FIELDS = 100;
const SUBJECT = { code: "invalid_request", whole: "body" } as const;

/** `POST /v1/functions/{name}/hooks` */
export async function makeHook(request: Request, response: Response, services: Services): Promise<void> {
	const { project } = principalOf(request);
	const name = nameFrom(request.params["name"]);
	const input = validate(hookInputSchema, await bodyOf(request, services), SUBJECT);
	checkSettings(input.scheme, input.settings, input);
	await requireAlias(project, name, input.alias, services.functions);
	const secret = secretFor(input.scheme, input.secret);
	const hook = await services.hooks.make(project, name, input, secret);
	sayAbout(request, hook.name);
	response
		.status(201)
		.location(`/v1/functions/${name}/hooks/${hook.name}`)
		.json({ ...hook, ...shown(input.secret, secret) } satisfies HookWithSecret);
}

/** `GET /v1/functions/{name}/hooks` */
export async function listHooks(request: Request, response: Response, { hooks, functions }: Services): Promise<void> {
	const { project } = principalOf(request);
	const name = nameFrom(request.params["name"]);
	const list = await hooks.list(project, name);
	if (list.length === 0 && (await functions.getFunction(project, name)) === undefined) throw functionNotFound(name);
	response.json({ hooks: list } satisfies HookList);
}

/** `GET /v1/functions/{name}/hooks/{hook}` */
export async function getHook(request: Request, response: Response, services: Services): Promise<void> {
	response.json((await hookFrom(request, services)).hook);
}

/** `PATCH /v1/functions/{name}/hooks/{hook}` */
export async function changeHook(request: Request, response: Response, services: Services): Promise<void> {
	const found = await hookFrom(request, services);
	const changes = validate(hookChangesSchema, await bodyOf(request, services), SUBJECT);
	const { scheme, settings } = found.hook;
	checkSettings(scheme, changes.settings ?? settings, {
		events: changes.events ?? found.hook.events,
		toleranceMs: changes.toleranceMs ?? found.hook.toleranceMs,
	});
	await requireAlias(found.project, found.hook.function, changes.alias, services.functions);
	response.json(await services.hooks.change(found, changes));
}

/** `POST /v1/functions/{name}/hooks/{hook}/rotate` */
export async function rotateHook(request: Request, response: Response, services: Services): Promise<void> {
	const found = await hookFrom(request, services);
	const { secret: given, overlapMs } = validate(rotationSchema, await bodyOf(request, services), SUBJECT);
	const { scheme } = found.hook;
	const secret = secretFor(scheme, given);
	if (secret === undefined)
		throw wrong(
			"secret",
			schemeOf(scheme).secretBy === "nobody" ? `${scheme} has no secret` : `${schemeOf(scheme).title} makes it: give the one that it shows`,
		);
	const hook = await services.hooks.rotate(found, secret, overlapMs);
	response.json({ ...hook, ...shown(given, secret) } satisfies HookWithSecret);
}

/** `DELETE /v1/functions/{name}/hooks/{hook}` */
export async function removeHook(request: Request, response: Response, services: Services): Promise<void> {
	await services.hooks.remove(await hookFrom(request, services));
	response.status(204).end();
}

/** The hook that a path names. @throws BerthError unauthorized, invalid_name, hook_not_found */
export async function hookFrom(request: Request, { hooks }: Services): Promise<OpenHook> {
	const { project } = principalOf(request);
	return await hooks.need(project, nameFrom(request.params["name"]), nameFrom(request.params["hook"], "hook"));
}

/** A body of JSON; none is an object without fields. */
export async function bodyOf(request: Request, { bodies }: Services): Promise<unknown> {
	const bytes = await bodies.read(request, BODY_BYTES);
	return bytes.length === 0 ? {} : parseJson(bytes, "the body", MOST_FIELDS);
}

/** The secret that a hook gets; none where its scheme has none, or the provider has yet to make it. */
function secretFor(scheme: SchemeName, given: string | undefined): string | undefined {
	const { secretBy, newSecret, wrongSecret, title } = schemeOf(scheme);
	if (given === undefined) return secretBy === "hook" ? newSecret(randomBytes(32)) : undefined;
	if (secretBy === "nobody") throw wrong("secret", `${scheme} has none; leave it out, or choose another scheme`);
	const rule = wrongSecret?.(given);
	if (rule !== undefined) throw wrong("secret", `of ${title} it is ${rule}`);
	return given;
}

/** A secret that was made here is shown, this once. */
function shown(given: string | undefined, secret: string | undefined): Pick<HookWithSecret, "secret"> {
	return given === undefined && secret !== undefined ? { secret } : {};
}

/** What a scheme doesn't take, and what doesn't go together. */
function checkSettings(
	name: SchemeName,
	settings: { readonly [Name in keyof SchemeSettings]: SchemeSettings[Name] | undefined },
	{ events, toleranceMs }: { readonly events: readonly string[]; readonly toleranceMs?: number | undefined },
): void {
	const scheme = schemeOf(name);
	const strange = Object.entries(settings).find(([field, value]) => value !== undefined && !scheme.takes.some((one) => one === field));
	if (strange !== undefined) {
		const taken = scheme.takes.length === 0 ? "it has none" : `it has ${scheme.takes.join(", ")}`;
		throw wrong(`settings.${strange[0]}`, `isn't a setting of ${name}; ${taken}`);
	}
	if (toleranceMs !== undefined && scheme.toleranceMs === undefined)
		throw wrong("toleranceMs", `deliveries of ${name} have no timestamp that is signed`);
	if (events.length > 0 && scheme.takes.includes("eventHeader") && settings.eventHeader === undefined)
		throw wrong("settings.eventHeader", `with events, ${name} needs to know the header that says what happened`);
}

function wrong(field: string, message: string): BerthError {
	return new BerthError("invalid_request", `${field}: ${message}`, { issues: [{ field, message }] });
}
