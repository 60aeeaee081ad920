import { allows, BerthError, DEFAULT_PROJECT, type Scope } from "@berth/contracts";
import type { ApiKeys, KeyHolder } from "@berth/registry";
import type { Request } from "express";
import type { RouteScope } from "./route.js";

const BEARER = /^Bearer +([^\s]+)$/i;

/** Who asks, and in which project. */
export interface Principal {
	readonly project: string;
	readonly holder: KeyHolder;
	readonly isOperator: boolean;
}

const principals = new WeakMap<Request, Principal>();

/** Lets a request to a route in, or not. @throws BerthError unauthorized, forbidden */
export async function admit(request: Request, scope: Exclude<RouteScope, "none" | "public">, keys: ApiKeys): Promise<void> {
	const holder = await authenticate(request, keys);
	requireScope(holder, scope);
	principals.set(request, { project: holder.project ?? DEFAULT_PROJECT, holder, isOperator: holder.project === undefined });
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
