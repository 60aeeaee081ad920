import { type Cors, DEFAULT_CORS_METHODS, type Manifest } from "@berth/contracts";
import type { Request, Response } from "express";
import { decidesCors } from "./answer-headers.js";

/**
 * Says which other origins' pages may read the answer, whatever it will be, as the function's manifest has it (fetch standard, 3.3); what
 * the function says of that itself is left out then. Without `cors` in its manifest all of it is the function's.
 * @returns whether that is all of the answer: to a preflight, which starts nothing
 */
export function sayCors({ method, headers }: Request, response: Response, { cors }: Pick<Manifest, "cors">): boolean {
	if (cors === undefined) return false;
	decidesCors(response);
	response.appendHeader("vary", "Origin");
	const allowed = allowedOrigin(cors, headers.origin);
	if (allowed !== undefined) {
		response.setHeader("access-control-allow-origin", allowed);
		if (cors.credentials === true) response.setHeader("access-control-allow-credentials", "true");
	}
	const isPreflight = method === "OPTIONS" && headers.origin !== undefined && headers["access-control-request-method"] !== undefined;
	if (!isPreflight) {
		if (allowed !== undefined) sayList(response, "access-control-expose-headers", cors.exposeHeaders);
		return false;
	}
	if (allowed !== undefined) {
		sayList(response, "access-control-allow-methods", cors.methods ?? DEFAULT_CORS_METHODS);
		sayList(response, "access-control-allow-headers", cors.headers);
		if (cors.maxAgeS !== undefined) response.setHeader("access-control-max-age", cors.maxAgeS);
	}
	return true;
}

function allowedOrigin({ origins }: Cors, origin: string | undefined): string | undefined {
	if (origin === undefined) return undefined;
	if (origins.includes("*")) return "*";
	return origins.includes(origin) ? origin : undefined;
}

function sayList(response: Response, header: string, list: readonly string[] = []): void {
	if (list.length > 0) response.setHeader(header, list.join(", "));
}
