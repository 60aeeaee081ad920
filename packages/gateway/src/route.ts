import type { Scope } from "@berth/contracts";
import type { Request, Response } from "express";
import type * as z from "zod";
import type { Services } from "./services.js";

type Method = "get" | "put" | "post" | "patch" | "delete" | "all";

/**
 * What a key has to have for a route: a scope, or that it is the operator's; `metrics`: that, or it is the one for reading metrics; `public`: `invoke`, unless the function is public;
 * `none`: no key is asked for.
 */
export type RouteScope = Scope | "operator" | "metrics" | "public" | "none";

/** One route: what Express serves and what the OpenAPI document says about it. */
export interface Route {
	readonly method: Method;
	/** As OpenAPI writes it: `/v1/functions/{name}`. */
	readonly path: string;
	readonly summary: string;
	readonly scope: RouteScope;
	/** Its answer has what is shown once, and is stored for no repetition. */
	readonly shownOnce?: true;
	/** Names that a query may have: another one was meant to do something, and is refused. Default: none. */
	readonly query?: readonly string[];
	readonly body?: z.ZodType;
	/** What it answers when all is well: status → meaning. */
	readonly answers: Readonly<Record<number, string>>;
	readonly serve: (request: Request, response: Response, services: Services) => void | Promise<void>;
}
