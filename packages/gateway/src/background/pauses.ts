import type { Backlog, BacklogAnswer } from "@berth/contracts";
import { functionNotFound } from "@berth/registry";
import type { Request, Response } from "express";
import { principalOf } from "../auth.js";
import { nameFrom } from "../names.js";
import type { Route } from "../route.js";
import type { Services } from "../services.js";

/** Pausing what functions do in the background. */
export const PAUSE_ROUTES: readonly Route[] = [
	{
		method: "post",
		path: "/v1/functions/{name}/pause",
		summary: "Accepted background work of a function waits, until it is resumed. What runs goes on, and so do interactive invocations.",
		scope: "deploy",
		answers: { 200: "BacklogAnswer" },
		serve: pause,
	},
	{
		method: "post",
		path: "/v1/functions/{name}/resume",
		summary: "Background work of a function goes on",
		scope: "deploy",
		answers: { 200: "BacklogAnswer" },
		serve: resume,
	},
];

async function pause(request: Request, response: Response, services: Services): Promise<void> {
	await answerWith(request, response, services, (of) => services.invocations.pause(of));
}

async function resume(request: Request, response: Response, services: Services): Promise<void> {
	await answerWith(request, response, services, (of) => services.invocations.resume(of));
}

async function answerWith(
	request: Request,
	response: Response,
	{ functions }: Services,
	act: (of: { readonly project: string; readonly function: string }) => Promise<Backlog>,
): Promise<void> {
	const { project } = principalOf(request);
	const name = nameFrom(request.params["name"]);
	if ((await functions.getFunction(project, name)) === undefined) throw functionNotFound(name);
	response.json({ background: await act({ project, function: name }) } satisfies BacklogAnswer);
}
