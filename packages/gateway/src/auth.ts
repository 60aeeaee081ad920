import { createHash, timingSafeEqual } from "node:crypto";
import { allows, BerthError, DEFAULT_PROJECT, HEADERS, NAME_PATTERN, type Scope } from "@berth/contracts";
import { type ApiKeys, type KeyHolder, projectNotFound } from "@berth/registry";
import type { Request } from "express";
import type { RouteScope } from "./route.js";

const BEARER = /^Bearer +([^\s]+)$/i;

/** Who asks, and in which project. */
export interface Principal {
	readonly project: string;
	readonly holder: KeyHolder;
	/** Whether it is the operator's key, and no project was named: what concerns a whole node is answered for all of them. */
	readonly ofAll: boolean;
}

const principals = new WeakMap<Request, Principal>();

/** Lets a request to a route in, or not. @throws BerthError unauthorized, forbidden, project_not_found */
export async function admit(request: Request, scope: Exclude<RouteScope, "none" | "public">, keys: ApiKeys): Promise<void> {
	const holder = await authenticate(request, keys);
	if (scope === "metrics") return requireScope(holder, "operator");
	requireScope(holder, scope);
	const project = await projectFor(request, holder, keys);
	const ofAll = holder.project === undefined && request.headers[HEADERS.project] === undefined;
	principals.set(request, { project, holder, ofAll });
}

/** Whether a request has one of these keys, by their SHA-256 alone: also while Redis is away. */
export function hasKeyOf({ headers }: Request, digests: readonly string[]): boolean {
	const token = BEARER.exec(headers.authorization ?? "")?.[1];
	if (token === undefined) return false;
	const digest = createHash("sha256").update(token).digest();
	return digests.some((one) => timingSafeEqual(Buffer.from(one, "hex"), digest));
}

/** Whether who was let in would be let in still. @throws BerthError unauthorized, project_not_found when not; unavailable */
export async function readmit(request: Request, keys: ApiKeys): Promise<void> {
	await projectFor(request, await authenticate(request, keys), keys);
}

async function projectFor({ headers }: Request, holder: KeyHolder, keys: ApiKeys): Promise<string> {
	const named = headers[HEADERS.project];
	return named === undefined ? (holder.project ?? DEFAULT_PROJECT) : await projectNamed(String(named), holder, keys);
}

/** Of another project a key learns nothing: it isn't looked for. @throws BerthError project_not_found */
async function projectNamed(name: string, holder: KeyHolder, { projects }: ApiKeys): Promise<string> {
	if (holder.project === name) return name;
	if (holder.project === undefined && NAME_PATTERN.test(name) && (await projects.has(name))) return name;
	throw projectNotFound(name);
}

/** Who asks for what a route with a scope gives. */
export function principalOf(request: Request): Principal {
	const principal = principals.get(request);
	if (principal === undefined) throw new Error("a route that no key is asked for was served as if one were");
	return principal;
}

/** Whose key comes with a request. @throws BerthError unauthorized */
export async function authenticate(request: Request, keys: ApiKeys): Promise<KeyHolder> {
	const token = BEARER.exec(request.headers.authorization ?? "")?.[1];
	const holder = token === undefined ? undefined : await keys.verify(token);
	if (holder !== undefined) return holder;
	const detail = token === undefined ? "send an API key: Authorization: Bearer berth_…" : "this API key isn't known here";
	throw new BerthError("unauthorized", detail);
}

/** @throws BerthError forbidden */
export function requireScope({ name, project, scopes }: KeyHolder, scope: Scope | "operator"): void {
	if (scope === "operator" ? project === undefined : allows(scopes, scope)) return;
	const has = `the API key ${name} has ${scopes.join(", ")}`;
	const detail =
		scope === "operator"
			? `this is for the operator's key alone; ${has} in its project`
			: `this wants a key with the scope ${scope}; ${has}`;
	throw new BerthError("forbidden", detail, { extra: { scope } });
}
