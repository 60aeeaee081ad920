import { BerthError, type CallbackSecret, KIB } from "@berth/contracts";
import type { Request, Response } from "express";
import * as z from "zod";
import { principalOf } from "../auth.js";
import { needRecord } from "../find-record.js";
import { parseJson } from "../json.js";
import type { Route } from "../route.js";
import type { Services } from "../services.js";
import { validate } from "../validation.js";

/** A rotation has nothing to say: whoever says something means what there isn't. */
const NOTHING = z.strictObject({});
const BODY_BYTES = 4 * KIB;

/** What follows settlements: sending a callback again, and what callbacks are signed with. */
export const FOLLOW_UP_ROUTES: readonly Route[] = [
	{
		method: "post",
		path: "/v1/invocations/{id}/callback",
		summary: "Send the callback of a settled background invocation once more, now",
		scope: "invoke",
		answers: { 202: "CallbackRecord as it is so far; GET /v1/invocations/{id} says how it went" },
		serve: sendAgain,
	},
	{
		method: "get",
		path: "/v1/callback-secret",
		summary: "What the project's callbacks are signed with, as Standard Webhooks say; made when it is asked for first",
		scope: "admin",
		answers: { 200: "CallbackSecret" },
		serve: getSecret,
	},
	{
		method: "post",
		path: "/v1/callback-secret/rotate",
		summary: "Another one; for 24 hours each callbacks are signed with those before, too, three at most",
		scope: "admin",
		answers: { 200: "CallbackSecret" },
		serve: rotateSecret,
	},
];

async function sendAgain(request: Request, response: Response, services: Services): Promise<void> {
	const { id, project, callback, state } = await needRecord(request, services);
	if (callback === undefined) throw new BerthError("invalid_request", `${id} has no callback: it was accepted without one`);
	if (state !== "settled" || !(await services.outbox.again({ project, id })))
		throw new BerthError("invalid_request", `${id} isn't settled yet: its callback is sent when it is`);
	response.status(202).location(`/v1/invocations/${id}`).json(callback);
}

async function getSecret(request: Request, response: Response, { callbackSecrets }: Services): Promise<void> {
	const { project } = principalOf(request);
	response.setHeader("cache-control", "no-store");
	response.json((await callbackSecrets.get(project)) satisfies CallbackSecret);
}

async function rotateSecret(request: Request, response: Response, { callbackSecrets, bodies }: Services): Promise<void> {
	const { project } = principalOf(request);
	const body = await bodies.read(request, BODY_BYTES);
	if (body.length > 0) validate(NOTHING, parseJson(body, "the body"), { code: "invalid_request", whole: "body" });
	response.setHeader("cache-control", "no-store");
	response.json((await callbackSecrets.rotate(project)) satisfies CallbackSecret);
}
