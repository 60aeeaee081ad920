import { BerthError } from "@berth/contracts";
import type { ApiKeys, Principal } from "@berth/registry";
import type { Request } from "express";

const BEARER = /^Bearer +([^\s]+)$/i;

/** Whose request it is. @throws BerthError unauthorized */
export async function authenticate(request: Request, keys: ApiKeys): Promise<Principal> {
	const token = BEARER.exec(request.headers.authorization ?? "")?.[1];
	const principal = token === undefined ? undefined : await keys.verify(token);
	if (principal !== undefined) return principal;
	const detail = token === undefined ? "send an API key: Authorization: Bearer berth_…" : "this API key isn't known here";
	throw new BerthError("unauthorized", detail);
}
